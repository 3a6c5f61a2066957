// @ts-check
/** How a wallet is put together from its parts and from what the browser gives. No logic. */

import { CardBox } from "./card-box.js";
import { Client } from "./client.js";
import { phoneSeconds, SkewedClock } from "./clock.js";
import { IdentityCodes, RideCodes } from "./codes.js";
import { Commands } from "./commands.js";
import { DeviceKeys } from "./keys.js";
import { Operations } from "./operations.js";
import { Sessions } from "./session.js";
import { StateDocument } from "./state.js";
import { IndexedDbStore } from "./store.js";

/**
 * What a page may hand in; what it does not comes from the browser.
 * @typedef {object} WalletOptions
 * @property {import("./errors.js").Language} [language] of the backend's words; zh-CN
 * @property {import("./store.js").Store} [store] IndexedDB
 * @property {typeof fetch} [fetch]
 * @property {() => number} [clock] the phone's, unix seconds
 * @property {(seconds: number) => Promise<void>} [sleep]
 * @property {() => number} [jitter]
 * @property {() => boolean} [isOnline]
 */

/** @typedef {Awaited<ReturnType<typeof assemble>>} Parts */

/**
 * @param {string} baseUrl
 * @param {WalletOptions} options
 * @param {() => Promise<any>} usableCard
 */
export async function assemble(baseUrl, options, usableCard) {
  const store = options.store ?? (await IndexedDbStore.open());
  const document = new StateDocument(store);
  const clock = new SkewedClock(
    options.clock ?? phoneSeconds,
    (await document.read()).clockSkewSeconds,
  );
  const keys = await DeviceKeys.open(store);
  const sleep = options.sleep ?? sleepSeconds;
  const client = new Client(baseUrl, {
    language: options.language ?? "zh-CN",
    fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
    isOnline: options.isOnline ?? (() => globalThis.navigator?.onLine !== false),
    onBackendTime: (seconds) => learnTime(clock, document, seconds),
    sleep,
    jitter: options.jitter ?? Math.random,
    monotonicSeconds: () => performance.now() / 1000,
  });
  const sessions = new Sessions(document, client, keys, clock);
  const box = new CardBox(store, keys, clock);
  const commands = new Commands(sessions, keys, box, clock);
  const operations = new Operations(document, sessions, commands.takes());
  const source = { store, sessions, keys, clock, card: usableCard };
  const [ride, identity] = [new RideCodes(source), new IdentityCodes(source)];
  const inner = { store, document, clock, keys, sleep, sessions };
  return { ...inner, box, commands, operations, ride, identity };
}

/** @param {number} seconds @returns {Promise<void>} */
function sleepSeconds(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/**
 * @param {SkewedClock} clock
 * @param {StateDocument} document
 * @param {number} backendSeconds
 */
async function learnTime(clock, document, backendSeconds) {
  if (!clock.learn(backendSeconds)) return;
  const clockSkewSeconds = clock.skewSeconds;
  await document.change((state) => ({ ...state, clockSkewSeconds }));
}
