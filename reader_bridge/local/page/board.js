// The big state: colour, icon, words, amount, balance. Draws what the screen says, decides nothing.

import { drawSteps } from "./steps.js";
import { said, word, yuan } from "./words.js";

const byId = (id) => document.getElementById(id);
// What an application is called at a counter; a name we do not know is shown as it is.
const CARDS = { "CITY CARD": "phoneCard", MOT_T_EP: "purseCard" };
const SIGNS = { ok: "ok", no: "no", again: "again" };
const STAGE_SIGNS = {
  idle: "idle",
  waiting: "waiting",
  reading: "reading",
  again: "again",
  asking: "reading",
  done: "idle",
};

export function draw(screen, post) {
  const board = byId("board");
  board.dataset.stage = screen.stage;
  board.dataset.signal = screen.signal;
  byId("sign").setAttribute("href", `#i-${signOf(screen, post)}`);
  byId("message").textContent = messageOf(screen, post);
  const isFree = screen.amount_fen === 0 && screen.stage === "done";
  const hasAmount = screen.amount_fen !== null && !isFree && screen.kind !== "balance";
  byId("amount").textContent = hasAmount ? `¥ ${yuan(screen.amount_fen)}` : "";
  drawPlace(post);
  drawSteps(screen);
  byId("assure").hidden = !(screen.stage === "done" && screen.signal === "no" && screen.code !== "load_returned");
  byId("assure").textContent = word("notCharged");
  drawFare(screen);
  drawBalance(screen);
  drawCard(screen.card);
}

function signOf(screen, post) {
  if (screen.signal in SIGNS) return SIGNS[screen.signal];
  if (screen.stage === "waiting" && post.direction) return post.direction === "entry" ? "in" : "out";
  return STAGE_SIGNS[screen.stage];
}

// A stay begins or ends, a gate opens: what the till calls "paid" has a better word there.
function messageOf(screen, post) {
  const isThrough = screen.stage === "done" && screen.signal === "ok" && screen.kind === "sale";
  if (screen.stage === "idle" && post.mode === "loading") return word("chooseAmount");
  if (!isThrough) return said(screen.message);
  if (post.mode === "gate") return word("pass");
  const ends = { parking: ["parkStarted", "parkEnded"], bicycle: ["hireStarted", "hireEnded"] };
  if (!(post.mode in ends)) return said(screen.message);
  return word(ends[post.mode][screen.amount_fen > 0 ? 1 : 0]);
}

function drawPlace(post) {
  const key = { entry: "placeEntry", exit: "placeExit" }[post.direction] ?? `place_${post.mode}`;
  byId("place").hidden = !post.is_standing;
  byId("place").textContent = post.is_standing ? word(key) : "";
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
  const name = card.application in CARDS ? word(CARDS[card.application]) : card.application;
  byId("card-name").textContent = name ?? "";
  byId("card-more").textContent = word("details");
  const facts = [card.application, card.aid, `${word("reader")} ${card.reader}`];
  byId("card-facts").textContent = facts.filter(Boolean).join(" · ");
  byId("card-steps").replaceChildren(...card.steps.map(step));
}

function step({ name, milliseconds }) {
  const made = document.createElement("li");
  made.textContent = `${name} ${milliseconds.toFixed(1)} ms`;
  return made;
}
