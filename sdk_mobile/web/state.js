// @ts-check
/** What the page remembers between two visits, as one document. Knows nothing of the network. */

import { StorageDamaged, StorageFailed } from "./errors.js";
import { isObject } from "./shapes.js";

const STATE = "state";
const FORM = 1;
const CHANGE_ATTEMPTS_MAX = 64; // each lost attempt is another tab's success
const TOP_UPS_MAX = 50;

/**
 * What may be open with the backend: at most one of each kind.
 * @typedef {"log_in" | "refresh" | "open_wallet" | "enrol_device" | "provision_card"
 *   | "refill_keys" | "move_card" | "confirm_card" | "top_up" | "pay" | "loss"} Kind
 */

/**
 * A request exactly as it goes out, stored before it does. `isResumed` is stored before it is sent
 * for a second time: from then on only an answer ends it.
 * @typedef {object} Operation
 * @property {string} operationId the phone's own
 * @property {Kind} kind
 * @property {string} path
 * @property {string} body
 * @property {string} idempotencyKey
 * @property {import("./proofs.js").Proof | null} proof
 * @property {boolean} isResumed
 */

/** @typedef {{sessionId: string, accessToken: string, refreshToken: string,
 *   accessEndsAt: number}} Session `accessEndsAt`: unix seconds of the backend */

/**
 * Everything but keys, parts of codes and the statement's lines. Never changed in place.
 * @typedef {object} State
 * @property {string | null} phone
 * @property {{challengeId: string, phone: string} | null} challenge
 * @property {Session | null} session
 * @property {any} person
 * @property {any} account
 * @property {string | null} accountAsOf
 * @property {any} device
 * @property {any} card
 * @property {Operation[]} operations oldest first
 * @property {any[]} topUps newest last
 * @property {number} clockSkewSeconds
 */

/** @type {Readonly<State>} */
const EMPTY = Object.freeze({
  phone: null,
  challenge: null,
  session: null,
  person: null,
  account: null,
  accountAsOf: null,
  device: null,
  card: null,
  operations: [],
  topUps: [],
  clockSkewSeconds: 0,
});

/** The state in the store. A change is decided on what was read and written only over that. */
export class StateDocument {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
  }

  /** Throws StorageDamaged. @returns {Promise<State>} */
  async read() {
    return stateIn(await this.store.read(STATE));
  }

  /**
   * Writes what `decide` returns, durably, and returns it. `decide` may wait and may refuse by
   * throwing; when another tab wrote meanwhile it is asked again, so it must change nothing else.
   * @param {(state: State) => State | Promise<State>} decide
   * @returns {Promise<State>}
   */
  async change(decide) {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS_MAX; attempt += 1) {
      const held = await this.store.read(STATE);
      const before = stateIn(held);
      const after = await decide(before);
      if (after === before) return before;
      const revision = held?.revision ?? 0;
      let isOurs = false;
      await this.store.change(STATE, (now) => {
        isOurs = (now?.revision ?? 0) === revision;
        return isOurs ? { form: FORM, revision: revision + 1, state: after } : now;
      });
      if (isOurs) return after;
    }
    throw new StorageFailed("other tabs change the state all the time");
  }
}

/**
 * @param {State} state
 * @param {Kind} kind
 */
export function findOperation(state, kind) {
  return state.operations.find((one) => one.kind === kind) ?? null;
}

/**
 * True when somebody else may have sent the operation too.
 * @param {State} state
 * @param {Operation} operation
 */
export function holdsResumed(state, operation) {
  return state.operations.some(
    (one) => one.operationId === operation.operationId && one.isResumed,
  );
}

/**
 * With an operation; it takes the place of an earlier form of the same kind.
 * @param {State} state
 * @param {Operation} operation
 * @returns {State}
 */
export function withOperation(state, operation) {
  const others = state.operations.filter((one) => one.kind !== operation.kind);
  return { ...state, operations: [...others, operation] };
}

/**
 * @param {State} state
 * @param {Operation} operation
 * @returns {State}
 */
export function withoutOperation(state, operation) {
  const others = state.operations.filter((one) => one.operationId !== operation.operationId);
  return { ...state, operations: others };
}

/**
 * Remembers a top-up; settled ones are forgotten first.
 * @param {State} state
 * @param {any} topUp
 * @returns {State}
 */
export function withTopUp(state, topUp) {
  const others = state.topUps.filter((one) => one.topup_id !== topUp.topup_id);
  others.push(topUp);
  while (others.length > TOP_UPS_MAX) {
    others.splice(Math.max(0, others.findIndex(isSettled)), 1);
  }
  return { ...state, topUps: others };
}

/** @param {any} topUp */
export function isSettled(topUp) {
  return topUp.state !== "processing";
}

/**
 * @param {any} held
 * @returns {State}
 */
function stateIn(held) {
  if (held === undefined) return EMPTY;
  const isOurs = isObject(held) && held.form === FORM && Number.isSafeInteger(held.revision);
  const state = isOurs ? held.state : null;
  const isShaped =
    isObject(state) &&
    Object.keys(EMPTY).every((name) => Object.hasOwn(state, name)) &&
    Array.isArray(state.operations) &&
    Array.isArray(state.topUps) &&
    Number.isFinite(state.clockSkewSeconds);
  if (!isShaped) throw new StorageDamaged(STATE, "not the state that was written");
  return state;
}
