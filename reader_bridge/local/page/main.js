// Joins the page: what is pressed goes to the terminal, what the terminal shows is drawn.

import * as board from "./board.js";
import * as keypad from "./keypad.js";
import * as loading from "./loading.js";
import { call, follow, newReference, Refusal } from "./live.js";
import * as pin from "./pin.js";
import * as sales from "./sales.js";
import { play, soundIsOn, switchSound, wake } from "./tones.js";
import { change, current, fen, word } from "./words.js";

const STATUS_MILLISECONDS = 5000;
const FREE = new Set(["idle", "done"]);
const PIN_CODES = new Set(["load_pin_wanted", "load_pin_wrong"]);
const SHOP = { mode: "shop", is_standing: false, direction: null, load_amounts_fen: [] };
const byId = (id) => document.getElementById(id);

let screen = null;
let link = "live"; // to the terminal's program: live, lost, shut
let status = null;
let isPlaced = false; // the first status came: the place is known
let isLoading = false; // a shop's clerk chose to load a card
let heard = ""; // what sounded last: the same state is not sounded twice

function show(newer) {
  screen = newer;
  if (!PIN_CODES.has(newer.code)) pin.forget();
  draw();
  const sounding = [newer.reference, newer.stage, newer.code, newer.signal].join(" ");
  if (sounding !== heard) play(newer.signal);
  heard = sounding;
  if (newer.stage === "done") sales.load();
}

function draw() {
  if (screen === null) return;
  const post = status?.post ?? SHOP;
  document.body.dataset.mode = post.mode;
  document.body.dataset.standing = post.is_standing ? "yes" : "no";
  board.draw(screen, post);
  const isFree = FREE.has(screen.stage) && !post.is_standing;
  const wantsPin = PIN_CODES.has(screen.code);
  const loads = post.mode === "loading" || isLoading;
  byId("entry").hidden = !isFree || loads;
  byId("loading").hidden = !isFree || !loads;
  byId("to-sell").hidden = post.mode === "loading";
  byId("pin").hidden = !wantsPin;
  const isServed = !FREE.has(screen.stage) && (!post.is_standing || screen.stage === "again");
  byId("running").hidden = !isServed;
  loading.offer(post.load_amounts_fen);
  const isBusy = screen.stage === "reading" || screen.stage === "asking";
  byId("cancel").disabled = screen.stage === "asking";
  byId("cancel").textContent = word(screen.stage === "again" ? "leave" : "cancel");
  byId("hint").textContent =
    screen.stage === "again" ? word(screen.kind === "load" ? "leaveLoadHint" : "leaveHint")
    : isBusy ? word("noCancel") : "";
}

function name() {
  document.documentElement.lang = current();
  document.title = word("title");
  const names = {
    charge: "charge",
    "read-balance": "readBalance",
    "loading-balance": "readBalance",
    "to-load": "toLoad",
    "to-sell": "toSell",
    "loading-title": "loadingTitle",
    "pin-title": "pinTitle",
    "pin-go": "pinGo",
    language: "other",
    "sales-title": "sales",
    "no-sales": "noSales",
    "refund-title": "refundTitle",
    "refund-label": "refundLabel",
    "refund-go": "refundGo",
    "refund-close": "close",
  };
  for (const [id, key] of Object.entries(names)) byId(id).textContent = word(key);
  byId("sound").textContent = word(soundIsOn() ? "soundOn" : "soundOff");
  byId("sound").setAttribute("aria-pressed", String(soundIsOn()));
  const isLarge = document.documentElement.classList.contains("large");
  byId("large").textContent = word(isLarge ? "normal" : "large");
  byId("large").setAttribute("aria-pressed", String(isLarge));
  keypad.name(byId("keys"));
  loading.name();
  pin.name();
  drawStatus();
  sales.draw();
  draw();
}

function drawStatus() {
  const network = status?.network ?? "unknown";
  byId("shop").textContent = status?.shop_name ?? "";
  byId("network").textContent = word(network);
  byId("network").dataset.state = network;
  const banner = byId("banner");
  const key = { lost: "bannerLost", shut: "bannerShut" }[link];
  const words = key ?? (network === "offline" ? "bannerOffline" : null);
  banner.hidden = words === null;
  banner.textContent = words === null ? "" : word(words, { count: status?.kept_count });
}

async function lookAtStatus() {
  try {
    status = (await call("GET", "/v1/status", undefined, current())).told;
  } catch (failure) {
    if (failure instanceof Refusal && failure.problem.status === 401) link = "shut";
  }
  if (status !== null && !isPlaced) {
    isPlaced = true;
    byId("sales-box").open = !status.post.is_standing;
  }
  drawStatus();
  draw();
  setTimeout(lookAtStatus, STATUS_MILLISECONDS);
}

// The number of a sale is in storage before it is sent; no answer: the same number again.
async function start(path, amount, more = {}) {
  const kept = JSON.parse(localStorage.getItem("sending") ?? "null");
  const wish = JSON.stringify([path, amount, more]);
  const isSame = kept !== null && kept.wish === wish;
  const reference = isSame ? kept.reference : newReference("page");
  localStorage.setItem("sending", JSON.stringify({ wish, reference }));
  const body = amount === null ? { reference } : { reference, amount_fen: amount, ...more };
  if (await send("POST", path, body)) {
    localStorage.removeItem("sending");
    keypad.reset();
  }
}

// True when the terminal answered yes.
async function send(method, path, body) {
  try {
    await call(method, path, body, current());
    return true;
  } catch (failure) {
    if (failure instanceof Refusal) localStorage.removeItem("sending");
    const words = failure instanceof Refusal ? failure.message : word("bannerLost");
    if (!byId("loading").hidden) loading.tell(words);
    else tellTyped(words);
    return false;
  }
}

function tellTyped(words) {
  byId("typed").textContent = words;
  byId("typed").classList.add("wrong");
}

function load(amount, funding) {
  loading.tell("");
  start("/v1/loads", amount, { funding });
}

async function givePin(digits) {
  if (!screen.reference) return;
  const path = `/v1/loads/${encodeURIComponent(screen.reference)}/pin`;
  try {
    await call("POST", path, { pin: digits }, current());
  } catch (failure) {
    pin.tell(failure instanceof Refusal ? failure.message : word("bannerLost"));
  }
}

function choose(loads) {
  isLoading = loads;
  loading.tell("");
  draw();
}

function charge() {
  if (byId("entry").hidden) return;
  const amount = fen(keypad.typed());
  if (amount === null) {
    tellTyped(word("badAmount"));
    return;
  }
  start("/v1/sales", amount);
}

async function cancel() {
  if (byId("running").hidden || byId("cancel").disabled || !screen.reference) return;
  const path = `/v1/sales/${encodeURIComponent(screen.reference)}/cancellation`;
  try {
    await call("POST", path, undefined, current());
  } catch (failure) {
    // too late: the result follows by itself
    byId("hint").textContent = failure instanceof Refusal ? failure.message : word("bannerLost");
  }
}

function onKey(event) {
  wake();
  if (byId("refund").open || event.ctrlKey || event.altKey || event.metaKey) return;
  const isOnButton = event.target instanceof HTMLElement && event.target.closest("button, summary");
  if (!byId("pin").hidden && /^(\d|Backspace|Enter)$/.test(event.key)) {
    if (event.key === "Enter" && isOnButton) return;
    if (event.key === "Enter") pin.send();
    else pin.press(event.key === "Backspace" ? "back" : event.key);
    event.preventDefault();
    return;
  }
  if (/^[0-9.]$/.test(event.key) && !byId("entry").hidden) keypad.press(event.key);
  else if (event.key === "Backspace") keypad.press("back");
  else if (event.key === "Enter" && !isOnButton) charge();
  else if (event.key === "Escape") cancel();
  else return;
  event.preventDefault();
}

// A button that was touched lets the keyboard go: Enter then charges, and presses nothing twice.
function letGo(event) {
  if (event.detail > 0 && event.target instanceof HTMLButtonElement) event.target.blur();
}

function listen() {
  document.addEventListener("click", letGo);
  byId("charge").addEventListener("click", charge);
  for (const id of ["read-balance", "loading-balance"]) {
    byId(id).addEventListener("click", () => start("/v1/balance", null));
  }
  byId("to-load").addEventListener("click", () => choose(true));
  byId("to-sell").addEventListener("click", () => choose(false));
  byId("cancel").addEventListener("click", cancel);
  byId("language").addEventListener("click", () => (change(), name()));
  byId("sound").addEventListener("click", () => (switchSound(), name()));
  byId("large").addEventListener("click", () => {
    const isLarge = document.documentElement.classList.toggle("large");
    localStorage.setItem("large", isLarge ? "yes" : "no");
    name();
  });
  document.addEventListener("keydown", onKey);
  document.addEventListener("pointerdown", wake);
  sales.listen();
}

document.documentElement.classList.toggle("large", localStorage.getItem("large") === "yes");
keypad.build(byId("keys"), (text) => {
  byId("typed").textContent = text || "0.00";
  byId("typed").classList.remove("wrong");
});
loading.build(load);
pin.build(givePin);
pin.forget();
listen();
name();
follow(show, (state) => {
  link = state;
  drawStatus();
});
lookAtStatus();
sales.load();
