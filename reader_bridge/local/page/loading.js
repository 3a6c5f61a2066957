// Choosing how much goes onto a card and who pays; knows no terminal: `onChoose` gets the wish.

import { word, yuan } from "./words.js";

const byId = (id) => document.getElementById(id);
const FUNDINGS = ["wallet", "cash"];

let funding = "wallet";
let amounts = [];
let onChoose = () => {};

export function build(chosen) {
  onChoose = chosen;
  byId("funding").replaceChildren(...FUNDINGS.map(fundingButton));
}

// The profile's amounts; drawn anew only when they change, so that no button jumps under a finger.
export function offer(fens) {
  if (fens.join() === amounts.join()) return;
  amounts = fens;
  byId("amounts").replaceChildren(...amounts.map(amountButton));
}

export function name() {
  for (const button of byId("funding").children) {
    button.textContent = word(`${button.dataset.funding}Pays`);
    button.setAttribute("aria-checked", String(button.dataset.funding === funding));
  }
}

export function tell(words) {
  byId("loading-said").textContent = words;
}

function fundingButton(which) {
  const made = button("choice");
  made.dataset.funding = which;
  made.setAttribute("role", "radio");
  made.addEventListener("click", () => {
    funding = which;
    name();
  });
  return made;
}

function amountButton(fen) {
  const made = button("amount-choice");
  made.dataset.fen = fen;
  made.textContent = `¥ ${fen % 100 === 0 ? fen / 100 : yuan(fen)}`;
  made.addEventListener("click", () => onChoose(fen, funding));
  return made;
}

function button(kind) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = kind;
  return made;
}
