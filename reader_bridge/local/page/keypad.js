// The amount being typed, by touch or by keyboard; knows nothing of what it is for.

import { word } from "./words.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "00", "0", "."];

let text = "";
let onChange = () => {};

export function typed() {
  return text;
}

export function reset() {
  text = "";
  onChange(text);
}

export function press(key) {
  if (key === "back") text = text.slice(0, -1);
  else if (key === ".") text = text.includes(".") ? text : (text || "0") + ".";
  else text = /^0+$/.test(text + key) ? "0" : (text === "0" ? "" : text) + key;
  text = (/^\d{0,8}(\.\d{0,2})?/.exec(text) ?? [""])[0];
  onChange(text);
}

export function build(box, changed) {
  onChange = changed;
  for (const key of KEYS) box.append(button(key, key));
  box.append(button("clear", ""), button("back", ""));
  onChange(text);
}

export function name(box) {
  box.querySelector('[data-key="clear"]').textContent = word("clear");
  box.querySelector('[data-key="back"]').textContent = word("back");
}

function button(key, shown) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.key = key;
  made.textContent = shown;
  made.addEventListener("click", () => (key === "clear" ? reset() : press(key)));
  return made;
}
