// Where the money of a load is: paid, written, confirmed, or back. Draws, decides nothing.

import { word } from "./words.js";

const byId = (id) => document.getElementById(id);
const DONE = "done";
const NOW = "now";
const OPEN = "open";

// By the load's stage: [paid, on the card, confirmed], or with the last one "given back".
const STAGES = {
  asked: [NOW, OPEN, OPEN],
  paid: [DONE, NOW, OPEN],
  written: [DONE, DONE, NOW],
  confirmed: [DONE, DONE, DONE],
  lost: [DONE, NOW, OPEN],
  returning: [DONE, OPEN, NOW],
  returned: [DONE, OPEN, DONE],
  refused: [OPEN, OPEN, OPEN],
};
const BACK = new Set(["returning", "returned"]);
const BY_SCREEN = { reading: "asked", again: "paid", asking: "written" };

export function drawSteps(screen) {
  const box = byId("steps");
  const stage = screen.receipt?.load?.stage ?? BY_SCREEN[screen.stage] ?? "refused";
  box.hidden = screen.kind !== "load" || screen.stage === "idle";
  if (box.hidden) return;
  const [paid, written, last] = STAGES[stage] ?? STAGES.lost;
  const lines = [["stepPaid", paid]];
  if (!BACK.has(stage)) lines.push(["stepWritten", written], ["stepConfirmed", last]);
  else lines.push(["stepReturned", last]);
  box.replaceChildren(...lines.map(([name, state]) => line(name, state)));
}

function line(name, state) {
  const made = document.createElement("li");
  made.dataset.state = state;
  made.textContent = word(name);
  if (state === NOW) made.setAttribute("aria-current", "step");
  return made;
}
