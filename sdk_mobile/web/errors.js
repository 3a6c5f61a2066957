// @ts-check
/** What can go wrong for a page, as classes with stable codes and words. Knows nothing of HTTP. */

import { WORDS } from "./words.js";

/** @typedef {"zh-CN" | "en"} Language */

/** Everything the SDK throws on purpose; anything else is a bug. */
export class SdkError extends Error {
  /**
   * @param {string} code stable; pages switch on it
   * @param {string} reason for logs; for people there is `words`
   */
  constructor(code, reason) {
    super(`${code}: ${reason}`);
    this.name = new.target.name;
    this.code = code;
  }

  /**
   * A sentence for the holder of the phone.
   * @param {Language} language
   */
  words(language) {
    const words = WORDS[this.code] ?? WORDS.unexpected;
    return language === "en" ? words.en : words.zh;
  }
}

/** The backend could not be reached, and nothing was done there. */
export class Offline extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("offline", reason);
  }
}

/**
 * The request may have been done. It is stored: `Wallet.resume()` learns the answer. Until then a
 * new operation of the same kind is not begun, so nothing is done twice.
 */
export class OutcomeUnknown extends SdkError {
  /**
   * @param {string} operationId
   * @param {string} kind
   */
  constructor(operationId, kind) {
    super("outcome_unknown", `${kind} ${operationId}: call resume()`);
    this.operationId = operationId;
    this.kind = kind;
  }
}

/**
 * A refusal as the backend told it (RFC 9457 problem details with our members).
 * @typedef {object} Problem
 * @property {number} status
 * @property {string} code
 * @property {string} detail in the language that was asked for
 * @property {boolean} retryable
 * @property {string | null} article
 * @property {string | null} requestId
 * @property {Record<string, unknown>} data
 */

/** A rule said no; `code` is stable. */
export class Refused extends SdkError {
  /**
   * @param {Problem} problem
   * @param {boolean} [earlierAttemptOpen] an attempt before this answer may have been done
   */
  constructor(problem, earlierAttemptOpen = false) {
    super(problem.code, problem.detail);
    this.problem = problem;
    this.earlierAttemptOpen = earlierAttemptOpen;
  }

  get status() {
    return this.problem.status;
  }

  get data() {
    return this.problem.data;
  }

  /**
   * The backend's own words; it was asked in the wallet's language.
   * @param {Language} language
   */
  words(language) {
    return this.problem.detail || super.words(language);
  }
}

/** There is no session, or the backend ended it: log in again. Stored operations stay. */
export class SignedOut extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("signed_out", reason);
  }
}

/** A step is missing on this phone. `code` names it, e.g. `no_card`, `keys_expired`. */
export class NotReady extends SdkError {}

/** Bytes or digits are not what they should be. `code` names what. */
export class MalformedBytes extends SdkError {
  /**
   * @param {string} code
   * @param {string} reason
   */
  constructor(code, reason) {
    super(code, reason);
    this.reason = reason;
  }
}

/** The scanned content cannot be a merchant code. */
export class CodeUnreadable extends SdkError {}

/** The backend answered with a document of another shape: a bug of one side. */
export class AnswerMalformed extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("answer_malformed", reason);
  }
}

/** Sealed card keys could not be opened with this phone's key. */
export class KeysUnreadable extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("keys_unreadable", reason);
  }
}

/** The state could not be written; nothing was sent. */
export class StorageFailed extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("storage_failed", reason);
  }
}

/** A stored document is not what was written; it is left as it is, for support to look at. */
export class StorageDamaged extends SdkError {
  /**
   * @param {string} document
   * @param {string} reason
   */
  constructor(document, reason) {
    super("storage_damaged", `${document}: ${reason}`);
    this.document = document;
  }
}
