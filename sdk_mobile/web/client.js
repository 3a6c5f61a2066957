// @ts-check
/**
 * One request to the backend, tried a bounded number of times. Knows nothing of wallets.
 * The same bytes and the same Idempotency-Key go out in every attempt.
 */

import { Offline, Refused, SdkError } from "./errors.js";

const ATTEMPTS_MAX = 4;
const WAIT_FIRST_SECONDS = 0.2;
const WAIT_MAX_SECONDS = 5;
const TIMEOUT_SECONDS = 10;
const ANSWER_BYTES_MAX = 1024 * 1024;
const DATE_TRUST_SECONDS = 5; // an answer slower than this says too little about the time
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];
const JSON_TYPES = ["application/json", "application/problem+json"];
const STANDARD = new Set(
  "type title status code detail errors request_id retryable article".split(" "),
);

/**
 * @typedef {object} Request
 * @property {"GET" | "POST" | "PUT"} method
 * @property {string} path
 * @property {string} [body] the exact text
 * @property {string} [idempotencyKey]
 * @property {Record<string, string>} [query]
 * @property {string} [accessToken]
 */

/** @typedef {{status: number, document: Record<string, unknown>, isReplayed: boolean}} Answer */
/** @typedef {import("./errors.js").Problem} Problem */
/** @typedef {{mayBeDone: boolean, waitSeconds?: number | null, problem?: Problem | null}} Missed */
/** @typedef {{answer: Answer} | {problem: Problem} | {missed: Missed}} Result */

/** The request went out, and whether it was done is not known. */
export class NoAnswer extends SdkError {
  /** @param {string} reason */
  constructor(reason) {
    super("no_answer", reason);
  }
}

/**
 * What a client is given from outside; tests hand in clocks and chance.
 * @typedef {object} ClientParts
 * @property {import("./errors.js").Language} language
 * @property {typeof fetch} fetch
 * @property {() => boolean} isOnline false: the browser knows that there is no network
 * @property {(backendSeconds: number) => Promise<void>} onBackendTime
 * @property {(seconds: number) => Promise<void>} sleep
 * @property {() => number} jitter 0 to 1
 * @property {() => number} monotonicSeconds
 */

/** Sends requests to one backend. */
export class Client {
  /**
   * Throws TypeError for a URL without TLS, unless it names this machine.
   * @param {string} baseUrl
   * @param {ClientParts} parts
   */
  constructor(baseUrl, parts) {
    this.baseUrl = safeUrl(baseUrl);
    this.parts = parts;
  }

  /**
   * The answer, or Refused (told by the backend), Offline (never left), NoAnswer.
   * @param {Request} request
   * @returns {Promise<Answer>}
   */
  async send(request) {
    let mayBeDone = false;
    let problem = null;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const result = await this.attempt(request);
      if ("answer" in result) return result.answer;
      if ("problem" in result) throw new Refused(result.problem, mayBeDone);
      mayBeDone ||= result.missed.mayBeDone;
      problem = result.missed.problem ?? null;
      const waitSeconds = this.waitSeconds(attempt, result.missed);
      if (attempt === ATTEMPTS_MAX || waitSeconds > WAIT_MAX_SECONDS) break;
      await this.parts.sleep(waitSeconds);
    }
    const what = `${request.method} ${request.path}`;
    if (problem !== null) throw new Refused(problem, mayBeDone);
    if (mayBeDone) throw new NoAnswer(what);
    throw new Offline(`${what}: the backend cannot be reached`);
  }

  /**
   * @param {number} attempt
   * @param {Missed} missed
   */
  waitSeconds(attempt, missed) {
    if (missed.waitSeconds != null) return missed.waitSeconds;
    const ceiling = Math.min(WAIT_MAX_SECONDS, WAIT_FIRST_SECONDS * 2 ** (attempt - 1));
    return ceiling * (0.5 + this.parts.jitter() / 2);
  }

  /**
   * @param {Request} request
   * @returns {Promise<Result>}
   */
  async attempt(request) {
    if (!this.parts.isOnline()) return { missed: { mayBeDone: false } };
    const started = this.parts.monotonicSeconds();
    let response;
    let document;
    try {
      response = await this.parts.fetch(this.url(request), this.options(request));
      document = await findDocument(response);
    } catch (error) {
      // fetch says no more than "it failed": it may have failed after the backend did it.
      if (error instanceof TypeError || error instanceof DOMException) {
        return { missed: { mayBeDone: true } };
      }
      throw error;
    }
    // A captive portal, a proxy's error page: nobody we know.
    if (document === null) return { missed: { mayBeDone: true } };
    if (this.parts.monotonicSeconds() - started < DATE_TRUST_SECONDS) await this.tellTime(response);
    return resultOf(response, document);
  }

  /** @param {Request} request */
  url(request) {
    const query = new URLSearchParams(request.query ?? {}).toString();
    return this.baseUrl + request.path + (query ? `?${query}` : "");
  }

  /**
   * @param {Request} request
   * @returns {RequestInit}
   */
  options(request) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json", "Accept-Language": this.parts.language };
    if (request.body !== undefined) headers["Content-Type"] = "application/json";
    if (request.idempotencyKey) headers["Idempotency-Key"] = request.idempotencyKey;
    if (request.accessToken) headers.Authorization = `Bearer ${request.accessToken}`;
    return {
      method: request.method,
      body: request.body,
      headers,
      cache: "no-store",
      credentials: "omit",
      redirect: "manual",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000),
    };
  }

  /** @param {Response} response */
  async tellTime(response) {
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (Number.isNaN(date)) return; // no Date, or hidden from this origin: the skew stays
    await this.parts.onBackendTime(date / 1000 + 0.5); // the middle of the second it names
  }
}

/** @param {string} baseUrl */
function safeUrl(baseUrl) {
  const url = new URL(baseUrl);
  const isLoopback = url.protocol === "http:" && LOOPBACK.includes(url.hostname);
  if (url.protocol !== "https:" && !isLoopback) throw new TypeError(`not an https URL: ${baseUrl}`);
  return baseUrl.replace(/\/+$/, "");
}

/**
 * The JSON object of an answer; null for anything else. Throws what a broken-off body throws.
 * @param {Response} response
 * @returns {Promise<Record<string, unknown> | null>}
 */
async function findDocument(response) {
  const type = (response.headers.get("Content-Type") ?? "").split(";")[0].trim().toLowerCase();
  const text = JSON_TYPES.includes(type) ? await findText(response) : null;
  if (text === null) return null;
  try {
    const document = JSON.parse(text);
    const isObject = typeof document === "object" && document !== null && !Array.isArray(document);
    return isObject ? document : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<string | null>}
 */
async function findText(response) {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > ANSWER_BYTES_MAX) {
      await reader.cancel();
      return null;
    }
    text += decoder.decode(value, { stream: true });
  }
}

/**
 * @param {Response} response
 * @param {Record<string, unknown>} document
 * @returns {Result}
 */
function resultOf(response, document) {
  const { status, headers } = response;
  if (response.ok) {
    const isReplayed = headers.get("Idempotent-Replayed") === "true";
    return { answer: { status, document, isReplayed } };
  }
  const waitSeconds = retryAfterSeconds(headers.get("Retry-After") ?? "");
  const problem = problemOf(status, document);
  // 429 is said at the door: this attempt did nothing.
  if (status === 429) return { missed: { mayBeDone: false, waitSeconds, problem } };
  const isStillRunning = status === 409 && waitSeconds !== null;
  if (status >= 500 || status === 408 || isStillRunning || problem === null) {
    return { missed: { mayBeDone: true, waitSeconds } };
  }
  return { problem };
}

/** @param {string} text */
function retryAfterSeconds(text) {
  return /^[0-9]{1,6}$/.test(text) ? Number(text) : null;
}

/**
 * @param {number} status
 * @param {Record<string, unknown>} document
 * @returns {Problem | null}
 */
function problemOf(status, document) {
  const text = (/** @type {string} */ name) =>
    typeof document[name] === "string" ? String(document[name]) : null;
  const code = text("code");
  if (status < 400 || status >= 500 || code === null) return null;
  return {
    status,
    code,
    detail: text("detail") || text("title") || "",
    retryable: document.retryable === true,
    article: text("article"),
    requestId: text("request_id"),
    data: Object.fromEntries(Object.entries(document).filter(([name]) => !STANDARD.has(name))),
  };
}
