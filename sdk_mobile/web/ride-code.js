// @ts-check
/** The ride code 乘车码, byte for byte (docs/protocol/codes.md); checks no signature. */

import { concat, latin1, require, requireBytes, requireCompressedPoint } from "./bytes.js";
import { requireU32, requireWhole, toHex, u16, u16At, u32, u32At } from "./bytes.js";

const CODE = "ride_code_malformed";
const VERSION = 0x81;
const SIGNATURE_FORMAT = 0x15;
const SIGNATURE_BYTES = 64;
const CERTIFICATE_BYTES = 117;
const ACCOUNT_BYTES = 78;
const SUITES = [0x04, 0x81];
const PART_BYTES_MIN = CERTIFICATE_BYTES + ACCOUNT_BYTES + 1 + SIGNATURE_BYTES;

export const VALIDITY_SECONDS = 30;

/** @typedef {(data: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>} Sign r and s */

/**
 * What the issuer vouches for, as fetched. Throws MalformedBytes `ride_code_malformed`.
 * @param {unknown} body
 */
export function decodePart(body) {
  require(body instanceof Uint8Array && body.length >= PART_BYTES_MIN, CODE, "too short");
  const part = /** @type {Uint8Array<ArrayBuffer>} */ (body);
  const account = part.subarray(CERTIFICATE_BYTES, CERTIFICATE_BYTES + ACCOUNT_BYTES);
  const customBytes = account[77];
  const isSized = part.length === PART_BYTES_MIN + customBytes;
  require(isSized, CODE, "custom data ends before its length");
  const format = part[part.length - SIGNATURE_BYTES - 1];
  require(format === SIGNATURE_FORMAT, CODE, "the signature's format byte is not known");
  checkCertificate(part.subarray(0, CERTIFICATE_BYTES));
  const accountNumber = latin1(account.subarray(0, 16));
  require(/^[\x20-\x7e]*$/.test(accountNumber), CODE, "account_number is printable");
  const cardNumber = toHex(account.subarray(16, 26));
  require(/^0[0-9]{19}$/.test(cardNumber), CODE, "card_number is 19 digits after a zero nibble");
  const userPublicKey = account.slice(38, 71);
  requireCompressedPoint(userPublicKey, CODE, "user_public_key");
  const validitySeconds = u16At(account, 75);
  require(validitySeconds > 0, CODE, "validity_seconds is above zero");
  const authorisedUntil = u32At(account, 71);
  return { accountNumber, cardNumber: cardNumber.slice(1), userPublicKey, authorisedUntil };
}

/**
 * A code for now from the issuer part as fetched; made without the network.
 * @param {Uint8Array} part
 * @param {number} generatedAt unix seconds
 * @param {Sign} sign by the phone's key
 */
export async function show(part, generatedAt, sign) {
  const unsigned = signedBytes(part, generatedAt);
  const signature = await sign(unsigned);
  requireBytes(signature, SIGNATURE_BYTES, CODE, "signature");
  return concat(unsigned, [SIGNATURE_FORMAT], signature);
}

/**
 * Fields 1 to 16: what the phone signs.
 * @param {Uint8Array} part
 * @param {number} generatedAt unix seconds
 */
export function signedBytes(part, generatedAt) {
  requireU32(generatedAt, CODE, "generated_at");
  const length = part.length + 4 + 1 + SIGNATURE_BYTES;
  requireWhole(length, 0, 0xffff, CODE, "length");
  return concat([VERSION], u16(length), part, u32(generatedAt));
}

/** @param {Uint8Array} body */
function checkCertificate(body) {
  require(body[0] === 0x24 && body[6] === 0x12, CODE, "the certificate's form is unknown");
  const expiry = toHex(body.subarray(11, 13));
  require(/^(0[1-9]|1[0-2])[0-9]{2}$/.test(expiry), CODE, "expiry is a month and a year");
  const isSuite = SUITES.includes(body[16]) && body[16] === body[17];
  require(isSuite, CODE, "the suite is unknown");
  require(body[18] === 0 && body[19] === 33, CODE, "the key's parameters are unknown");
  requireCompressedPoint(body.slice(20, 53), CODE, "public_key");
}
