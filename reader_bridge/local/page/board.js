// The big state: colour, icon, words, amount, balance. Draws what the screen says, decides nothing.

import { said, word, yuan } from "./words.js";

const byId = (id) => document.getElementById(id);
const SIGNS = { ok: "ok", no: "no", again: "again" };
const STAGE_SIGNS = {
  idle: "idle",
  waiting: "waiting",
  reading: "reading",
  again: "again",
  asking: "reading",
  done: "idle",
};

export function draw(screen) {
  const board = byId("board");
  board.dataset.stage = screen.stage;
  board.dataset.signal = screen.signal;
  byId("sign").setAttribute("href", `#i-${SIGNS[screen.signal] ?? STAGE_SIGNS[screen.stage]}`);
  byId("message").textContent = said(screen.message);
  byId("amount").textContent = screen.amount_fen === null ? "" : `¥ ${yuan(screen.amount_fen)}`;
  byId("assure").hidden = !(screen.stage === "done" && screen.signal === "no");
  byId("assure").textContent = word("notCharged");
  drawFare(screen);
  drawBalance(screen);
  drawCard(screen.card);
}

function drawFare(screen) {
  const hasFare = screen.full_fare_fen !== null && screen.concession_fen > 0;
  byId("fare").hidden = !hasFare;
  if (!hasFare) return;
  const full = `${word("fullFare")} ${yuan(screen.full_fare_fen)}`;
  byId("fare").textContent = `${full} − ${word("concession")} ${yuan(screen.concession_fen)}`;
}

function drawBalance(screen) {
  const isTold = screen.stage === "done" && (screen.signal === "ok" || screen.balance_fen !== "unknown");
  byId("balance-row").hidden = !isTold;
  byId("balance-name").textContent = word("balance");
  const isKnown = screen.balance_fen !== "unknown";
  byId("balance").textContent = isKnown
    ? `¥ ${yuan(screen.balance_fen)}`
    : word("balanceUnknown");
}

function drawCard(card) {
  byId("card").hidden = card === null;
  if (card === null) return;
  const steps = card.steps.map((step) => `${step.name} ${step.milliseconds.toFixed(1)} ms`);
  const parts = [card.application, card.aid, `${word("reader")} ${card.reader}`, steps.join(", ")];
  byId("card").textContent = parts.filter(Boolean).join(" · ");
}
