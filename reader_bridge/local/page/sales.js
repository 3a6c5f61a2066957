// The last sales, and giving money back; a refund's number is kept until its outcome is known.

import { call, newReference, Refusal } from "./live.js";
import { current, fen, said, word, yuan } from "./words.js";

const LIST_MAX = 20;
const byId = (id) => document.getElementById(id);

let shown = [];
let refunding = null; // { sale, reference }

// What is shown stays when no answer comes: the banner tells, and the next screen asks again.
export async function load() {
  try {
    const { told } = await call("GET", `/v1/sales?limit=${LIST_MAX}`, undefined, current());
    shown = told.data;
  } catch (failure) {
    console.warn("the list of sales did not come", failure.name);
  }
  draw();
}

export function draw() {
  byId("sales").replaceChildren(...shown.map(line));
  byId("no-sales").hidden = shown.length > 0;
}

function line(sale) {
  const item = document.createElement("li");
  item.dataset.state = sale.state;
  item.dataset.reference = sale.reference;
  const amount = sale.amount_fen === null ? "" : `¥ ${yuan(sale.amount_fen)}`;
  const name = sale.state === "unknown" ? "unknownState" : sale.state;
  item.append(text("b", amount), text("span", word(name), "state"));
  item.append(text("small", told(sale)), text("small", sale.reference, "reference"));
  if (sale.state === "paid" && sale.kind === "sale") {
    item.append(button(word("refund"), () => openRefund(sale)));
  }
  if (sale.state === "unknown") item.append(button(word("ask"), () => ask(sale.reference)));
  return item;
}

const METHODS = { tap: "phoneCard", purse: "purseCard", pay_code: "payCode", ride_code: "rideCode" };

// In the shop's words: what was done and with what, or why not.
function told(sale) {
  const parts = sale.kind === "load" ? [word("load")] : [];
  if (["refused", "returned", "unknown"].includes(sale.state)) return said(sale.message);
  const method = METHODS[sale.receipt?.method];
  if (method) parts.push(word(method));
  const time = /T(\d\d:\d\d)/.exec(sale.receipt?.created_at ?? "");
  if (time) parts.push(clock(sale.receipt.created_at));
  return parts.join(" · ");
}

function clock(moment) {
  const at = new Date(moment);
  return [at.getHours(), at.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
}

function text(tag, content, kind = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  if (kind) made.className = kind;
  return made;
}

function button(content, act) {
  const made = text("button", content, "quiet");
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

async function ask(reference) {
  try {
    await call("GET", `/v1/sales/${encodeURIComponent(reference)}`, undefined, current());
  } catch (failure) {
    console.warn("the sale could not be asked about", failure.name);
  }
  await load();
}

function openRefund(sale) {
  if (refunding?.sale.reference !== sale.reference) {
    refunding = { sale, reference: newReference("refund") };
  }
  byId("refund-of").textContent = `${sale.reference} · ¥ ${yuan(sale.amount_fen)}`;
  byId("refund-amount").value = yuan(sale.amount_fen);
  byId("refund-said").textContent = "";
  byId("refund-go").disabled = false;
  byId("refund").showModal();
  byId("refund-amount").select();
}

async function refund(event) {
  event.preventDefault();
  const amount = fen(byId("refund-amount").value);
  if (amount === null) return tell(word("badAmount"));
  const body = { refund_reference: refunding.reference, amount_fen: amount };
  const path = `/v1/sales/${encodeURIComponent(refunding.sale.reference)}/refunds`;
  byId("refund-go").disabled = true;
  try {
    const { status } = await call("POST", path, body, current());
    if (status === 202) return again();
    refunding = null;
    tell(`${word("refundDone")} ¥ ${yuan(amount)}`);
    await load();
  } catch (problem) {
    if (!(problem instanceof Refusal)) return again();
    byId("refund-go").disabled = false;
    if (problem.problem.status === 402) refunding.reference = newReference("refund");
    tell(problem.message);
  }
}

function again() {
  byId("refund-go").disabled = false;
  tell(word("refundUnknown"));
}

function tell(words) {
  byId("refund-said").textContent = words;
}

export function listen() {
  byId("refund-form").addEventListener("submit", refund);
  byId("refund-close").addEventListener("click", () => byId("refund").close());
}
