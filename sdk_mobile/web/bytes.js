// @ts-check
/** Bytes and texts: base64url, whole numbers, joining. Knows no code and no key. */

import { MalformedBytes } from "./errors.js";

const U32_MAX = 0xffff_ffff;
const URL_SAFE = /^[A-Za-z0-9_-]*$/;
const CHUNK = 0x2000; // String.fromCharCode takes its arguments on the stack

/**
 * All parts in one array.
 * @param {...(Uint8Array | number[])} parts
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * ASCII text as bytes; the caller knows that it is ASCII.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function ascii(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/**
 * UTF-8.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function utf8(text) {
  return concat(new TextEncoder().encode(text));
}

/**
 * Bytes as the ISO-8859-1 text that QR libraries in byte mode and `btoa` take.
 * @param {Uint8Array} bytes
 */
export function latin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return text;
}

/**
 * base64url without padding (RFC 4648, section 5).
 * @param {Uint8Array} bytes
 */
export function toBase64url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/**
 * base64 with padding (RFC 4648, section 4).
 * @param {Uint8Array} bytes
 */
export function toBase64(bytes) {
  return btoa(latin1(bytes));
}

/**
 * The inverse of `toBase64url`; refuses a second spelling of the same bytes.
 * @param {unknown} text
 * @param {string} code of the MalformedBytes that is thrown
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromBase64url(text, code) {
  const isShaped = typeof text === "string" && URL_SAFE.test(text) && text.length % 4 !== 1;
  require(isShaped, code, "not base64url");
  const given = String(text);
  const bytes = ascii(atob(given.replaceAll("-", "+").replaceAll("_", "/")));
  require(toBase64url(bytes) === given, code, "not base64url in its one spelling");
  return bytes;
}

/**
 * Lower-case hex as bytes; for constants and vectors.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromHex(text) {
  const pairs = text.match(/[0-9a-f]{2}/gi) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/**
 * Decimal digits, two to a byte; the caller gives an even number of hex digits.
 * @param {Uint8Array} bytes
 */
export function toHex(bytes) {
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

/**
 * Big-endian u16.
 * @param {number} value
 */
export function u16(value) {
  return Uint8Array.of(value >>> 8, value & 0xff);
}

/**
 * Big-endian u32.
 * @param {number} value
 */
export function u32(value) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/**
 * Big-endian u64 of a whole number up to 2^53 - 1.
 * @param {number} value
 */
export function u64(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/**
 * The u32 at an offset.
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function u32At(bytes, at) {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

/**
 * The u16 at an offset.
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function u16At(bytes, at) {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(at);
}

/**
 * Throws MalformedBytes unless the condition holds.
 * @param {boolean} condition
 * @param {string} code
 * @param {string} reason
 */
export function require(condition, code, reason) {
  if (!condition) throw new MalformedBytes(code, reason);
}

/**
 * A Uint8Array of exactly this length.
 * @param {unknown} value
 * @param {number} length
 * @param {string} code
 * @param {string} name
 */
export function requireBytes(value, length, code, name) {
  const isRight = value instanceof Uint8Array && value.length === length;
  require(isRight, code, `${name} is ${length} bytes`);
}

/**
 * A whole number of 0 to 2^32 - 1.
 * @param {unknown} value
 * @param {string} code
 * @param {string} name
 */
export function requireU32(value, code, name) {
  requireWhole(value, 0, U32_MAX, code, name);
}

/**
 * A whole number in [lowest, highest].
 * @param {unknown} value
 * @param {number} lowest
 * @param {number} highest
 * @param {string} code
 * @param {string} name
 */
export function requireWhole(value, lowest, highest, code, name) {
  const isWhole = Number.isSafeInteger(value);
  const isRight = isWhole && Number(value) >= lowest && Number(value) <= highest;
  require(isRight, code, `${name} is a whole number from ${lowest} to ${highest}`);
}

/**
 * Text of exactly this many ASCII digits.
 * @param {unknown} value
 * @param {number} length
 * @param {string} code
 * @param {string} name
 */
export function requireDigits(value, length, code, name) {
  const isRight = isDigits(value) && String(value).length === length;
  require(isRight, code, `${name} is ${length} digits`);
}

/**
 * One or more ASCII digits and nothing else.
 * @param {unknown} value
 */
export function isDigits(value) {
  return typeof value === "string" && /^[0-9]+$/.test(value);
}

/**
 * The one digit to append (ISO/IEC 7812-1, annex B).
 * @param {string} digits
 */
export function luhnCheckDigit(digits) {
  let total = 0;
  for (let place = 0; place < digits.length; place += 1) {
    const doubled = Number(digits[digits.length - 1 - place]) * (place % 2 === 0 ? 2 : 1);
    total += doubled > 9 ? doubled - 9 : doubled;
  }
  return String((10 - (total % 10)) % 10);
}

/**
 * 33 bytes starting 02 or 03; whether the point is on the curve is the verifier's question.
 * @param {unknown} value
 * @param {string} code
 * @param {string} name
 */
export function requireCompressedPoint(value, code, name) {
  requireBytes(value, 33, code, name);
  const first = /** @type {Uint8Array} */ (value)[0];
  require(first === 2 || first === 3, code, `${name} starts 02 or 03`);
}
