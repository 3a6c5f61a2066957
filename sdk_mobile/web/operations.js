// @ts-check
/**
 * Operations: stored before they are sent, forgotten only when answered. Knows no kind's meaning.
 * What an answer changes is handed in, one function a kind, so that `resume` after a reload does
 * exactly what the first call would have done.
 */

import { NoAnswer } from "./client.js";
import { AnswerMalformed, KeysUnreadable, NotReady, Offline } from "./errors.js";
import { OutcomeUnknown, Refused, SignedOut } from "./errors.js";
import { isUndecided } from "./session.js";
import { findOperation, holdsResumed, withOperation, withoutOperation } from "./state.js";

/** @typedef {import("./errors.js").SdkError} SdkError */
/** @typedef {import("./state.js").Kind} Kind */
/** @typedef {import("./state.js").Operation} Operation */
/** @typedef {import("./state.js").State} State */
/** @typedef {(state: State, operation: Operation, document: Record<string, unknown>) =>
 *   Promise<[State, any]> | [State, any]} Take */
/** @typedef {(state: State) => Promise<Operation>} Make */

/**
 * What became of one stored operation: a result, or why not.
 * @typedef {object} Resumed
 * @property {string} operationId
 * @property {Kind} kind
 * @property {any} result
 * @property {SdkError | null} refusal
 */

const MONEY = new Set(["top_up", "pay"]);
const JUDGED = [Refused, AnswerMalformed, KeysUnreadable, NotReady];

/** Runs operations against the backend; at most one of a kind is open. */
export class Operations {
  /**
   * @param {import("./state.js").StateDocument} document
   * @param {import("./session.js").Sessions} sessions
   * @param {Readonly<Record<string, Take>>} takes
   */
  constructor(document, sessions, takes) {
    this.document = document;
    this.sessions = sessions;
    this.takes = takes;
  }

  /**
   * Makes, stores, sends, takes the answer. An open one of the same kind is sent again, unless it
   * moves money: then OutcomeUnknown, for only the holder knows whether a second is meant. An open
   * one that is not meant any more gives its place to the new one.
   *
   * Throws Refused, Offline and SignedOut (nothing was done), OutcomeUnknown (stored).
   * @param {Kind} kind
   * @param {Make} make
   * @param {(operation: Operation) => boolean} [isMeant]
   */
  async perform(kind, make, isMeant = () => true) {
    const state = await this.document.change(async (before) => {
      const open = findOperation(before, kind);
      if (open !== null && MONEY.has(kind)) throw new OutcomeUnknown(open.operationId, kind);
      const isAgain = open !== null && isMeant(open);
      const operation = isAgain ? { ...open, isResumed: true } : await make(before);
      return withOperation(before, operation);
    });
    return this.send(/** @type {Operation} */ (findOperation(state, kind)));
  }

  /**
   * Sends every stored operation again, oldest first, with the same bytes. Stops at the first that
   * gets no answer; that one and the later ones stay stored.
   * @returns {Promise<Resumed[]>}
   */
  async resume() {
    /** @type {Resumed[]} */
    const outcomes = [];
    for (const stored of await this.openOperations()) {
      const operation = await this.findMarkedResumed(stored);
      if (operation === null) continue;
      const { operationId, kind } = operation;
      try {
        outcomes.push({ operationId, kind, result: await this.send(operation), refusal: null });
      } catch (error) {
        if (error instanceof SignedOut && outcomes.length === 0) throw error;
        if (error instanceof OutcomeUnknown || error instanceof SignedOut) break;
        if (!JUDGED.some((one) => error instanceof one)) throw error;
        const refusal = /** @type {SdkError} */ (error);
        outcomes.push({ operationId, kind, result: null, refusal });
      }
    }
    return outcomes;
  }

  /** What is stored and not answered, oldest first. A refresh goes out by itself. */
  async openOperations() {
    return (await this.document.read()).operations.filter((one) => one.kind !== "refresh");
  }

  /**
   * The operation as stored, marked; null when another tab took its answer meanwhile.
   * @param {Operation} operation
   */
  async findMarkedResumed(operation) {
    const isIt = (/** @type {Operation | null} */ one) =>
      one?.operationId === operation.operationId ? one : null;
    const state = await this.document.change((before) => {
      const current = isIt(findOperation(before, operation.kind));
      return current === null ? before : withOperation(before, { ...current, isResumed: true });
    });
    return isIt(findOperation(state, operation.kind));
  }

  /** @param {Operation} operation */
  async send(operation) {
    let document;
    try {
      ({ document } = await this.sessions.sendOperation(operation));
    } catch (error) {
      throw await this.fault(operation, error);
    }
    return this.take(operation, document);
  }

  /**
   * What a failed sending means for the caller; the operation stays or goes accordingly.
   * @param {Operation} operation
   * @param {unknown} error
   * @returns {Promise<unknown>}
   */
  async fault(operation, error) {
    const unknown = new OutcomeUnknown(operation.operationId, operation.kind);
    if (error instanceof NoAnswer) return unknown;
    if (error instanceof Refused && !isUndecided(operation, error)) {
      await this.document.change((state) => withoutOperation(state, operation));
      return error;
    }
    if (error instanceof Refused && error.earlierAttemptOpen) return unknown;
    if (error instanceof Refused || error instanceof Offline) {
      return (await this.forgetUnsent(operation)) ? error : unknown;
    }
    if (error instanceof SignedOut) await this.forgetUnsent(operation);
    return error;
  }

  /**
   * The answer's effect and the end of the operation are one write.
   * @param {Operation} operation
   * @param {Record<string, unknown>} document
   */
  async take(operation, document) {
    let result;
    await this.document.change(async (state) => {
      const [after, taken] = await this.takes[operation.kind](state, operation, document);
      result = taken;
      return withoutOperation(after, operation);
    });
    return /** @type {any} */ (result);
  }

  /**
   * Drops an operation no attempt of which was judged; false when it must stay.
   * @param {Operation} operation
   */
  async forgetUnsent(operation) {
    const after = await this.document.change((state) =>
      holdsResumed(state, operation) ? state : withoutOperation(state, operation),
    );
    return !holdsResumed(after, operation);
  }
}
