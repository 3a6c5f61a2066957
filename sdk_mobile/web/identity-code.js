// @ts-check
/** The identity code 身份码 (docs/protocol/codes.md): who may learn what; never who it is. */

import { ascii, concat, require, requireBytes, requireCompressedPoint } from "./bytes.js";
import { requireU32, toBase64url, u16, u32, u32At } from "./bytes.js";

const CODE = "identity_code_malformed";
const TEXT_START = "CIC1.";
const VERSION = 1;
const SUITES = [1, 2];
const SIGNATURE_BYTES = 64;
const HANDLE_BYTES = 34;
const KEY_AT = 3 + HANDLE_BYTES;
const UNTIL_AT = KEY_AT + 33;
const PART_BYTES = UNTIL_AT + 4 + SIGNATURE_BYTES;
const CODE_CONTEXT = ascii("CITY CARD identity code 1\x00");

export const NONCE_BYTES = 8;
export const VALIDITY_SECONDS = 60;

/**
 * Why somebody asks; a figure means one thing for ever.
 * @type {Readonly<Record<string, number>>}
 */
export const PURPOSES = Object.freeze({ counter: 1, library: 2, clinic: 3, venue: 4, lodging: 5 });

/** What may be learnt; the figures are summed. @type {Readonly<Record<string, number>>} */
export const CLAIMS = Object.freeze({
  registered: 1,
  name_masked: 2,
  name: 4,
  id_number_masked: 8,
  phone_masked: 16,
});

/**
 * What the issuer vouches for, as fetched. Throws MalformedBytes `identity_code_malformed`.
 * @param {unknown} body
 */
export function decodePart(body) {
  requireBytes(body, PART_BYTES, CODE, "an identity part");
  const part = /** @type {Uint8Array<ArrayBuffer>} */ (body);
  require(part[0] === VERSION, CODE, "unknown version");
  require(SUITES.includes(part[1]), CODE, "unknown suite");
  const userPublicKey = part.slice(KEY_AT, UNTIL_AT);
  requireCompressedPoint(userPublicKey, CODE, "user_public_key");
  return { userPublicKey, authorisedUntil: u32At(part, UNTIL_AT) };
}

/**
 * A code that lets exactly these claims be learnt for this purpose.
 * @param {Uint8Array} part as fetched
 * @param {{purpose: string, claims: Iterable<string>}} agreed names of PURPOSES and CLAIMS
 * @param {number} generatedAt unix seconds
 * @param {Uint8Array} nonce 8 random bytes
 * @param {import("./ride-code.js").Sign} sign by the phone's key
 */
export async function show(part, agreed, generatedAt, nonce, sign) {
  const fields = shownFields(part, agreed, generatedAt, nonce);
  const signature = await sign(concat(CODE_CONTEXT, fields));
  requireBytes(signature, SIGNATURE_BYTES, CODE, "signature");
  return TEXT_START + toBase64url(concat(fields, signature));
}

/**
 * The code but for its signature.
 * @param {Uint8Array} part
 * @param {{purpose: string, claims: Iterable<string>}} agreed
 * @param {number} generatedAt
 * @param {Uint8Array} nonce
 */
export function shownFields(part, agreed, generatedAt, nonce) {
  decodePart(part);
  requireU32(generatedAt, CODE, "generated_at");
  requireBytes(nonce, NONCE_BYTES, CODE, "nonce");
  const purpose = Object.hasOwn(PURPOSES, agreed.purpose) ? PURPOSES[agreed.purpose] : 0;
  require(purpose !== 0, CODE, "purpose is one of ours");
  const shown = concat([purpose], u16(claimsSum(agreed.claims)), u32(generatedAt), nonce);
  return concat(part, shown);
}

/** @param {Iterable<string>} names */
function claimsSum(names) {
  let sum = 0;
  for (const name of names) {
    require(Object.hasOwn(CLAIMS, name), CODE, "claims are of ours");
    sum |= CLAIMS[name];
  }
  require(sum !== 0, CODE, "at least one claim");
  return sum;
}
