// @ts-check
/** Who is logged in: tokens, their renewal, and requests made with them. Knows nothing of money. */

import { NoAnswer } from "./client.js";
import { Offline, Refused, SignedOut } from "./errors.js";
import { newId, newIdempotencyKey } from "./ids.js";
import { makeProof, PROOF_AGE_MAX_SECONDS } from "./proofs.js";
import { read } from "./shapes.js";
import { findOperation, withOperation, withoutOperation } from "./state.js";

/** @typedef {import("./client.js").Answer} Answer */
/** @typedef {import("./client.js").Request} Request */
/** @typedef {import("./state.js").Kind} Kind */
/** @typedef {import("./state.js").Operation} Operation */
/** @typedef {import("./state.js").Session} Session */
/** @typedef {import("./state.js").State} State */

export const LOGIN_PATH = "/v1/login/sessions";
const REFRESH_PATH = "/v1/login/refresh";
const ACCESS_RENEWED_BEFORE_SECONDS = 30;
const UNAUTHORISED = 401;
const TOO_MANY = 429;
const PROOF_INVALID = "proof_invalid";

/** Sends requests as the person logged in, and proofs as this phone. */
export class Sessions {
  /**
   * @param {import("./state.js").StateDocument} document
   * @param {import("./client.js").Client} client
   * @param {import("./keys.js").DeviceKeys} keys
   * @param {import("./clock.js").SkewedClock} clock
   */
  constructor(document, client, keys, clock) {
    this.document = document;
    this.client = client;
    this.keys = keys;
    this.clock = clock;
  }

  /**
   * Reads. Throws Offline, Refused, SignedOut.
   * @param {string} path
   * @param {Record<string, string>} [query]
   */
  async get(path, query) {
    return (await this.ask({ method: "GET", path, query })).document;
  }

  /**
   * A request that may be repeated freely: without an answer we are Offline.
   * @param {Request} request
   */
  async ask(request) {
    return orOffline(this.send(request));
  }

  /**
   * Like `ask`, for who is not logged in yet.
   * @param {Request} request
   */
  async askWithoutToken(request) {
    return (await orOffline(this.client.send(request))).document;
  }

  /**
   * With the access token, renewed when needed. Throws NoAnswer too.
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async send(request) {
    const token = await this.accessToken();
    let wasOpen = false;
    try {
      return await this.client.send({ ...request, accessToken: token });
    } catch (error) {
      if (!(error instanceof Refused) || !isTokenRefused(error)) throw error;
      wasOpen = error.earlierAttemptOpen;
    }
    try {
      return await this.client.send({ ...request, accessToken: await this.renew(token) });
    } catch (error) {
      throw secondFault(error, wasOpen);
    }
  }

  /**
   * Sends as its kind asks for. A proof found too old is made anew and stored, once.
   * @param {Operation} operation
   * @returns {Promise<Answer>}
   */
  async sendOperation(operation) {
    const send = (/** @type {Request} */ request) =>
      isWithoutToken(operation) ? this.client.send(request) : this.send(request);
    try {
      return await send(requestOf(operation));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const fresh = await this.findFreshlyProven(operation);
      if (fresh === null || isUndecided(operation, error)) throw error;
      await this.document.change((state) => withOperation(state, fresh));
      return send(requestOf(fresh));
    }
  }

  /**
   * An operation ready to be stored; with `proofJti` its body carries a proof.
   * @param {Kind} kind
   * @param {string} path
   * @param {Record<string, unknown>} body
   * @param {{operationId?: string, proofJti?: string}} [ids]
   * @returns {Promise<Operation>}
   */
  async makeOperation(kind, path, body, { operationId, proofJti } = {}) {
    const issuedAt = Math.floor(this.clock.nowSeconds());
    const proof = proofJti === undefined ? null : { audience: path, jti: proofJti, issuedAt };
    const whole = proof === null ? body : { ...body, proof: await makeProof(this.keys, proof) };
    return {
      operationId: operationId ?? newId("op", this.clock.nowSeconds()),
      kind,
      path,
      body: JSON.stringify(whole),
      idempotencyKey: newIdempotencyKey(),
      proof,
      isResumed: false,
    };
  }

  /**
   * The operation with the same ids and a new proof; null when its proof is still good. Another
   * body needs another Idempotency-Key: the phone's own id in the body keeps it one operation.
   * @param {Operation} operation
   * @returns {Promise<Operation | null>}
   */
  async findFreshlyProven(operation) {
    const old = operation.proof;
    const now = Math.floor(this.clock.nowSeconds());
    if (old === null || Math.abs(now - old.issuedAt) <= PROOF_AGE_MAX_SECONDS) return null;
    const proof = { ...old, issuedAt: now };
    const body = { ...JSON.parse(operation.body), proof: await makeProof(this.keys, proof) };
    const idempotencyKey = newIdempotencyKey();
    return { ...operation, body: JSON.stringify(body), idempotencyKey, proof };
  }

  /**
   * The state with the session an answer brought. Throws AnswerMalformed.
   * @param {State} state
   * @param {Record<string, unknown>} document
   * @returns {State}
   */
  takeTokens(state, document) {
    const tokens = read("tokens", document);
    const session = {
      sessionId: tokens.session_id,
      accessToken: tokens.access_token,
      refreshToken: tokens.refresh_token,
      accessEndsAt: this.clock.nowSeconds() + tokens.expires_in,
    };
    return { ...state, session };
  }

  async accessToken() {
    const session = await this.session();
    const leftSeconds = session.accessEndsAt - this.clock.nowSeconds();
    if (leftSeconds > ACCESS_RENEWED_BEFORE_SECONDS) return session.accessToken;
    return this.renew(session.accessToken);
  }

  async session() {
    const { session } = await this.document.read();
    if (session === null) throw new SignedOut("no session on this phone");
    return session;
  }

  /**
   * Rotates the tokens. The request is stored first: if the answer is lost, or another tab is at
   * it too, the same request (same jti) goes out again, which the backend answers as it did before.
   * @param {string} spent
   */
  async renew(spent) {
    const session = await this.session();
    if (session.accessToken !== spent) return session.accessToken; // another tab was here first
    const operation = await this.findStoredRefresh(session);
    if (operation === null) return (await this.session()).accessToken; // rotated since we looked
    const document = await this.sendRefresh(operation);
    const after = await this.document.change((state) =>
      isSame(state.session, session)
        ? this.takeTokens(withoutOperation(state, operation), document)
        : state,
    );
    if (after.session === null) throw new SignedOut("the session ended meanwhile");
    return after.session.accessToken;
  }

  /**
   * The request that rotates this session; null when it is another one by now.
   * @param {Session} session
   */
  async findStoredRefresh(session) {
    const state = await this.document.change(async (before) => {
      if (!isSame(before.session, session) || findOperation(before, "refresh")) return before;
      const body = { refresh_token: session.refreshToken };
      const proofJti = newId("prf", this.clock.nowSeconds());
      const operation = await this.makeOperation("refresh", REFRESH_PATH, body, { proofJti });
      return withOperation(before, operation);
    });
    return isSame(state.session, session) ? findOperation(state, "refresh") : null;
  }

  /** @param {Operation} operation */
  async sendRefresh(operation) {
    try {
      return (await orOffline(this.sendOperation(operation))).document;
    } catch (error) {
      if (!(error instanceof Refused) || error.status === TOO_MANY) throw error;
      await this.document.change((state) => ({
        ...withoutOperation(state, operation),
        session: null,
      }));
      throw new SignedOut(error.problem.detail);
    }
  }
}

/**
 * True when the refusal was said at the door: the operation itself was not judged.
 * @param {Operation} operation
 * @param {Refused} refusal
 */
export function isUndecided(operation, refusal) {
  if (isTokenRefused(refusal)) return !isWithoutToken(operation);
  return refusal.status === TOO_MANY;
}

/** @param {Operation} operation */
function isWithoutToken(operation) {
  return operation.kind === "log_in" || operation.kind === "refresh";
}

/** A new token helps against this one; against a proof found wanting it does not.
 * @param {Refused} refusal */
function isTokenRefused(refusal) {
  return refusal.status === UNAUTHORISED && refusal.code !== PROOF_INVALID;
}

/**
 * What the fault of a request sent with a renewed token means.
 * @param {unknown} error
 * @param {boolean} wasOpen the first sending may have been done
 */
function secondFault(error, wasOpen) {
  if (error instanceof Refused) {
    error.earlierAttemptOpen ||= wasOpen;
    const isSignedOut = isTokenRefused(error) && !error.earlierAttemptOpen;
    return isSignedOut ? new SignedOut(error.problem.detail) : error;
  }
  const isNothingDone = error instanceof Offline || error instanceof SignedOut;
  return isNothingDone && wasOpen ? new NoAnswer(String(error)) : error;
}

/** @param {Operation} operation @returns {Request} */
function requestOf({ path, body, idempotencyKey }) {
  return { method: "POST", path, body, idempotencyKey };
}

/** @param {Session | null} one @param {Session} other */
function isSame(one, other) {
  return one?.sessionId === other.sessionId && one.accessToken === other.accessToken;
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @returns {Promise<T>}
 */
async function orOffline(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NoAnswer) throw new Offline(error.message);
    throw error;
  }
}
