// @ts-check
/** Answers checked against the shape we expect, strictly typed. Knows not what values mean. */

import { fromBase64url } from "./bytes.js";
import { AnswerMalformed, MalformedBytes } from "./errors.js";

/**
 * Member to kind; a kind that ends in `?` may be missing or null, and reads as null then.
 * @typedef {Readonly<Record<string, string>>} Shape
 */

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;

/** @type {Readonly<Record<string, (value: unknown) => boolean>>} */
const KINDS = Object.freeze({
  text: (value) => typeof value === "string",
  whole: (value) => Number.isSafeInteger(value),
  flag: (value) => typeof value === "boolean",
  time: (value) =>
    typeof value === "string" && TIME.test(value) && !Number.isNaN(Date.parse(value)),
  bytes: isBase64url,
  wholes: (value) => Array.isArray(value) && value.every((one) => Number.isSafeInteger(one)),
});

/** @type {Readonly<Record<string, Shape>>} */
export const SHAPES = Object.freeze({
  loginCode: { challenge_id: "text", expires_at: "time", resend_at: "time" },
  tokens: { access_token: "text", expires_in: "whole", refresh_token: "text", session_id: "text" },
  person: {
    registered: "flag",
    person_id: "text?",
    phone_masked: "text?",
    name_masked: "text?",
    id_number_masked: "text?",
    matched_at: "time?",
  },
  account: {
    wallet_id: "text",
    state: "text",
    account_class: "text",
    balance_fen: "whole",
    available_fen: "whole",
    ceiling_fen: "whole?",
    opened_at: "time",
  },
  line: {
    line_id: "text",
    time: "time",
    code: "text",
    amount_fen: "whole",
    balance_fen: "whole",
    reference: "text?",
    counterparty: "text?",
  },
  topUp: {
    topup_id: "text",
    wallet_id: "text",
    amount_fen: "whole",
    state: "text",
    created_at: "time",
    failure_code: "text?",
    settled_at: "time?",
    ask_again_at: "time?",
  },
  device: {
    device_id: "text",
    name: "text",
    state: "text",
    enrolled_at: "time",
    suites: "wholes?",
    attested: "text?",
  },
  sealedKeys: {
    key_index: "whole",
    key_version: "whole",
    suite: "whole",
    sealed: "bytes",
    uses_max: "whole",
    not_before: "time",
    not_after: "time",
  },
  card: {
    token_id: "text",
    token_number: "text",
    short_number: "text",
    state: "text",
    product: "text",
    label: "text",
    certificate: "bytes",
    wallet_id: "text",
    device_id: "text",
  },
  codePart: { content: "bytes", authorised_until: "time" },
  merchantCode: {
    merchant_name: "text",
    shop_name: "text?",
    shop_id: "text?",
    amount_fen: "whole?",
    bill_number: "text?",
  },
  payment: {
    payment_id: "text",
    state: "text",
    amount_fen: "whole",
    captured_fen: "whole",
    refunded_fen: "whole",
    method: "text",
    merchant_name: "text",
    created_at: "time",
    shop_name: "text?",
    balance_fen: "whole?",
    business_date: "text?",
    bill_number: "text?",
  },
});

/**
 * The members we know, each of its kind; others are passed over. Throws AnswerMalformed.
 * @param {keyof typeof SHAPES & string} name
 * @param {unknown} document
 * @returns {any}
 */
export function read(name, document) {
  if (!isObject(document)) throw new AnswerMalformed(`${name}: not an object`);
  const given = /** @type {Record<string, unknown>} */ (document);
  /** @type {Record<string, unknown>} */
  const known = {};
  for (const [member, kind] of Object.entries(SHAPES[name])) {
    const isOptional = kind.endsWith("?");
    const value = Object.hasOwn(given, member) ? given[member] : undefined;
    if (isOptional && (value === null || value === undefined)) {
      known[member] = null;
    } else if (KINDS[kind.replace("?", "")](value)) {
      known[member] = value;
    } else {
      throw new AnswerMalformed(`${name}.${member}: not ${kind}`);
    }
  }
  return known;
}

/**
 * The `data` of a page of things. Throws AnswerMalformed.
 * @param {keyof typeof SHAPES & string} name
 * @param {Record<string, unknown>} document
 * @returns {any[]}
 */
export function readAll(name, document) {
  if (!Array.isArray(document.data)) throw new AnswerMalformed(`${name}: no list of data`);
  return document.data.map((one) => read(name, one));
}

/**
 * The bytes of a member of kind `bytes`.
 * @param {string} text
 */
export function bytesOf(text) {
  return fromBase64url(text, "answer_malformed");
}

/** @param {unknown} value */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} value */
function isBase64url(value) {
  try {
    fromBase64url(value, "answer_malformed");
    return true;
  } catch (error) {
    if (error instanceof MalformedBytes) return false;
    throw error;
  }
}
