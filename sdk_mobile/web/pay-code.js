// @ts-check
/** The pay code 付款码: 19 digits made offline (docs/protocol/codes.md); knows no clock. */

import { ascii, concat, fromHex, isDigits, luhnCheckDigit, requireBytes } from "./bytes.js";
import { require, requireDigits, requireWhole, toBase64, u32At, u64 } from "./bytes.js";
import { MalformedBytes } from "./errors.js";

const CODE = "pay_code_malformed";
const FOREIGN_CODE = "pay_code_foreign";
const PREFIX = "96";
const CODE_DIGITS = 19;
const SHORT_NUMBER_DIGITS = 8;
const ONE_TIME_DIGITS = 8;
const FOREIGN_DIGITS_MIN = 16;
const FOREIGN_DIGITS_MAX = 24;
const KEY_BYTES = 32;
const AID = fromHex("F0434954594341524401");
const LABEL = ascii("CITY CARD");

export const STEP_SECONDS = 30;

/**
 * The number of the 30-second step a moment lies in (RFC 6238 with T0 = 0).
 * @param {number} unixSeconds whole
 */
export function stepAt(unixSeconds) {
  requireWhole(unixSeconds, 0, Number.MAX_SAFE_INTEGER, CODE, "unix_seconds");
  return Math.floor(unixSeconds / STEP_SECONDS);
}

/**
 * The pay code key as a key that can be used and never read again.
 * @param {Uint8Array<ArrayBuffer>} raw 32 bytes
 */
export async function importKey(raw) {
  requireBytes(raw, KEY_BYTES, "key_malformed", "a pay code key");
  return crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

/**
 * 8 digits for one step: HOTP (RFC 4226, 5.3) with HMAC-SHA-256.
 * @param {CryptoKey} key
 * @param {number} step
 */
export async function oneTimeDigits(key, step) {
  requireWhole(step, 0, Number.MAX_SAFE_INTEGER, CODE, "step");
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, u64(step)));
  const number = (u32At(digest, digest[31] & 0x0f) & 0x7fff_ffff) % 10 ** ONE_TIME_DIGITS;
  return String(number).padStart(ONE_TIME_DIGITS, "0");
}

/**
 * The 19 digits to show: 96, short number, one-time digits, Luhn check digit.
 * @param {string} shortNumber 8 digits
 * @param {string} oneTime 8 digits
 */
export function encode(shortNumber, oneTime) {
  requireDigits(shortNumber, SHORT_NUMBER_DIGITS, CODE, "short_number");
  requireDigits(oneTime, ONE_TIME_DIGITS, CODE, "one_time");
  const digits = PREFIX + shortNumber + oneTime;
  return digits + luhnCheckDigit(digits);
}

/**
 * What 19 digits say. Throws MalformedBytes `pay_code_malformed`, `pay_code_foreign`.
 * @param {unknown} text
 */
export function decode(text) {
  require(isDigits(text), CODE, "a pay code is ASCII digits");
  const digits = String(text);
  const isOtherLength = digits.length >= FOREIGN_DIGITS_MIN && digits.length <= FOREIGN_DIGITS_MAX;
  if (isOtherLength && !digits.startsWith(PREFIX)) {
    throw new MalformedBytes(FOREIGN_CODE, "the prefix belongs to another scheme");
  }
  require(digits.length === CODE_DIGITS, CODE, "a pay code is 19 digits");
  const isRight = luhnCheckDigit(digits.slice(0, -1)) === digits.slice(-1);
  require(isRight, CODE, "the check digit is wrong");
  return { shortNumber: digits.slice(2, 10), oneTime: digits.slice(10, 18) };
}

/**
 * The same digits as the text of an EMVCo consumer-presented QR code (60 characters).
 * @param {string} digits
 */
export function encodeConsumer(digits) {
  decode(digits);
  const aid = concat([0x4f, AID.length], AID);
  const label = concat([0x50, LABEL.length], LABEL);
  const number = concat([0x5a, 10], fromHex(`${digits}F`));
  const template = concat(aid, label, number);
  const payload = concat([0x85, 5], ascii("CPV01"), [0x61, template.length], template);
  return toBase64(payload);
}
