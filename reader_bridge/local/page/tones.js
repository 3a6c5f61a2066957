// Sounds made here, from no file: ok rises, no falls, again repeats.

const TONES = {
  ok: [[880, 0, 0.12], [1320, 0.13, 0.22]],
  no: [[330, 0, 0.25], [220, 0.27, 0.4]],
  again: [[660, 0, 0.09], [660, 0.15, 0.09], [660, 0.3, 0.09]],
};
const LOUDNESS = 0.25;

let context = null;
let isOn = localStorage.getItem("sound") !== "off";

export function soundIsOn() {
  return isOn;
}

export function switchSound() {
  isOn = !isOn;
  localStorage.setItem("sound", isOn ? "on" : "off");
}

// Browsers give no sound before the first touch or key.
export function wake() {
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
}

export function play(signal) {
  if (!isOn || !context || !(signal in TONES)) return;
  for (const [hertz, start, seconds] of TONES[signal]) {
    const from = context.currentTime + start;
    const tone = context.createOscillator();
    const level = context.createGain();
    tone.frequency.value = hertz;
    tone.type = signal === "no" ? "triangle" : "sine";
    level.gain.setValueAtTime(0.0001, from);
    level.gain.exponentialRampToValueAtTime(LOUDNESS, from + 0.01);
    level.gain.exponentialRampToValueAtTime(0.0001, from + seconds);
    tone.connect(level).connect(context.destination);
    tone.start(from);
    tone.stop(from + seconds + 0.02);
  }
}
