// @ts-check
/** The keys an issuer seals to one phone (docs/protocol/mobile-card.md); stores nothing. */

import { ascii, concat, luhnCheckDigit, require, requireBytes } from "./bytes.js";
import { requireDigits, requireU32, u32 } from "./bytes.js";
import { MalformedBytes } from "./errors.js";
import { findOpened } from "./hpke.js";

const CODE = "key_batch_malformed";
const UNOPENED_CODE = "key_batch_unopened";
const NUMBER_CODE = "token_number_malformed";
const VERSION = 1;
const LIMITED_USE_KEY_BYTES = 16;
const PAY_CODE_KEY_BYTES = 32;
const BATCH_BYTES = 1 + LIMITED_USE_KEY_BYTES + PAY_CODE_KEY_BYTES;
const SEALED_BYTES = 65 + BATCH_BYTES + 16;
const INFO_CONTEXT = ascii("CITY CARD key batch 1\x00");
const TOKEN_NUMBER_DIGITS = 19;

/**
 * HPKE `info`: a batch opens only for the token and index it was sealed for.
 * @param {string} tokenNumber 19 digits
 * @param {number} keyIndex u32
 */
export function sealInfo(tokenNumber, keyIndex) {
  requireDigits(tokenNumber, TOKEN_NUMBER_DIGITS, NUMBER_CODE, "a token number");
  const isRight = luhnCheckDigit(tokenNumber.slice(0, -1)) === tokenNumber.slice(-1);
  require(isRight, NUMBER_CODE, "the token number's check digit is wrong");
  requireU32(keyIndex, CODE, "key_index");
  return concat(INFO_CONTEXT, ascii(tokenNumber), u32(keyIndex));
}

/**
 * The batch's keys; the caller puts them where they cannot be read and forgets them.
 * Throws MalformedBytes `key_batch_unopened` when altered or not for us.
 * @param {Uint8Array} sealed
 * @param {{privateKey: CryptoKey, publicBytes: Uint8Array}} pair the phone's sealing keys
 * @param {string} tokenNumber
 * @param {number} keyIndex
 */
export async function openSealed(sealed, pair, tokenNumber, keyIndex) {
  requireBytes(sealed, SEALED_BYTES, UNOPENED_CODE, "a sealed key batch");
  const body = await findOpened(sealed, pair, sealInfo(tokenNumber, keyIndex));
  if (body === null) throw new MalformedBytes(UNOPENED_CODE, "altered, or sealed for another");
  const batch = decode(body);
  body.fill(0);
  return batch;
}

/**
 * Version 01, limited-use key (16 bytes), pay code key (32 bytes).
 * @param {Uint8Array<ArrayBuffer>} body
 */
export function decode(body) {
  requireBytes(body, BATCH_BYTES, CODE, "a key batch");
  require(body[0] === VERSION, CODE, "unknown version");
  const split = 1 + LIMITED_USE_KEY_BYTES;
  return { limitedUseKey: body.slice(1, split), payCodeKey: body.slice(split) };
}
