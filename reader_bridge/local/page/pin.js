// The card's PIN on a numeric pad: shown as dots, sent once, forgotten at once, stored nowhere.

import { word } from "./words.js";

const byId = (id) => document.getElementById(id);
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "clear", "0", "back"];
const DIGITS_MIN = 4;
const DIGITS_MAX = 12;

let digits = "";
let onDone = () => {};

export function build(done) {
  onDone = done;
  for (const key of KEYS) {
    const made = document.createElement("button");
    made.type = "button";
    made.dataset.pinKey = key;
    made.addEventListener("click", () => press(key));
    byId("pin-keys").append(made);
  }
  byId("pin-go").addEventListener("click", send);
}

export function name() {
  for (const made of byId("pin-keys").children) {
    const key = made.dataset.pinKey;
    made.textContent = /^\d$/.test(key) ? key : word(key);
  }
}

export function press(key) {
  if (key === "clear") digits = "";
  else if (key === "back") digits = digits.slice(0, -1);
  else if (/^\d$/.test(key) && digits.length < DIGITS_MAX) digits += key;
  draw();
}

export function forget() {
  digits = "";
  draw();
}

export function tell(words) {
  byId("pin-said").textContent = words;
}

export function send() {
  if (digits.length < DIGITS_MIN) return tell(word("pinShort"));
  const pin = digits;
  forget();
  tell("");
  onDone(pin);
}

function draw() {
  byId("pin-typed").textContent = "●".repeat(digits.length) || "–";
}
