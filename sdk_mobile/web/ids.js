// @ts-check
/** Ids this phone makes: TypeIDs for what it starts, and keys for safe repetition. */

import { toBase64url } from "./bytes.js";

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";
const SUFFIX_CHARACTERS = 26;

/**
 * A TypeID (`pay_01h…`): prefix and a UUID of version 7 (RFC 9562, 5.7) in base 32.
 * @param {string} prefix
 * @param {number} unixSeconds sorts the ids; nothing else hangs on it
 */
export function newId(prefix, unixSeconds) {
  const raw = crypto.getRandomValues(new Uint8Array(16));
  const milliseconds = BigInt(Math.max(0, Math.floor(unixSeconds * 1000)));
  new DataView(raw.buffer).setUint16(0, Number((milliseconds >> 32n) & 0xffffn));
  new DataView(raw.buffer).setUint32(2, Number(milliseconds & 0xffff_ffffn));
  raw[6] = (raw[6] & 0x0f) | 0x70;
  raw[8] = (raw[8] & 0x3f) | 0x80;
  let number = raw.reduce((sum, one) => (sum << 8n) | BigInt(one), 0n);
  let suffix = "";
  for (let place = 0; place < SUFFIX_CHARACTERS; place += 1) {
    suffix = CROCKFORD[Number(number & 31n)] + suffix;
    number >>= 5n;
  }
  return `${prefix}_${suffix}`;
}

/** 32 characters of [A-Za-z0-9_-], 192 bits. */
export function newIdempotencyKey() {
  return toBase64url(crypto.getRandomValues(new Uint8Array(24)));
}
