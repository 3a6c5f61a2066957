// @ts-check
/**
 * Opens what is sealed to this phone: HPKE (RFC 9180), base mode, single shot, empty aad:
 * DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. Knows not what is inside.
 */

import { ascii, concat, u16 } from "./bytes.js";

export const ENC_BYTES = 65;
const TAG_BYTES = 16;
const HASH_BYTES = 32;
const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const LABEL = ascii("HPKE-v1");
const KEM_SUITE = concat(ascii("KEM"), u16(0x0010));
const HPKE_SUITE = concat(ascii("HPKE"), u16(0x0010), u16(0x0001), u16(0x0001));
const EMPTY = new Uint8Array(0);
const MODE_BASE = [0];

/**
 * The plain text; null when altered, or sealed for another key or info.
 * @param {Uint8Array} sealed enc (65 bytes, uncompressed point) and ciphertext
 * @param {{privateKey: CryptoKey, publicBytes: Uint8Array}} pair ECDH on P-256, and its point
 * @param {Uint8Array} info
 * @returns {Promise<Uint8Array<ArrayBuffer> | null>}
 */
export async function findOpened(sealed, pair, info) {
  if (sealed.length < ENC_BYTES + TAG_BYTES) return null;
  const enc = concat(sealed.subarray(0, ENC_BYTES));
  try {
    const secret = await decapsulate(enc, pair);
    const { key, nonce } = await schedule(secret, info);
    const ciphertext = concat(sealed.subarray(ENC_BYTES));
    const opening = { name: "AES-GCM", iv: nonce };
    return new Uint8Array(await crypto.subtle.decrypt(opening, key, ciphertext));
  } catch (error) {
    // DataError: enc is no point; OperationError: the tag does not fit. All else is a bug.
    const isForeign = error instanceof DOMException;
    if (isForeign && ["DataError", "OperationError"].includes(error.name)) return null;
    throw error;
  }
}

/**
 * RFC 9180, 4.1: Decap.
 * @param {Uint8Array<ArrayBuffer>} enc
 * @param {{privateKey: CryptoKey, publicBytes: Uint8Array}} pair
 */
async function decapsulate(enc, pair) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const theirs = await crypto.subtle.importKey("raw", enc, curve, false, []);
  const agreement = { name: "ECDH", public: theirs };
  const dh = new Uint8Array(await crypto.subtle.deriveBits(agreement, pair.privateKey, 256));
  const pseudorandom = await extract(KEM_SUITE, EMPTY, "eae_prk", dh);
  const context = concat(enc, pair.publicBytes);
  return expand(KEM_SUITE, pseudorandom, "shared_secret", context, HASH_BYTES);
}

/**
 * RFC 9180, 5.1: KeySchedule, mode_base.
 * @param {Uint8Array} secret
 * @param {Uint8Array} info
 */
async function schedule(secret, info) {
  const pskIdHash = await extract(HPKE_SUITE, EMPTY, "psk_id_hash", EMPTY);
  const infoHash = await extract(HPKE_SUITE, EMPTY, "info_hash", info);
  const context = concat(MODE_BASE, pskIdHash, infoHash);
  const root = await extract(HPKE_SUITE, secret, "secret", EMPTY);
  const raw = await expand(HPKE_SUITE, root, "key", context, KEY_BYTES);
  const nonce = await expand(HPKE_SUITE, root, "base_nonce", context, NONCE_BYTES);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
  return { key, nonce };
}

/**
 * LabeledExtract. An empty salt is one of zeros: HMAC pads its key with them.
 * @param {Uint8Array} suite
 * @param {Uint8Array} salt
 * @param {string} label
 * @param {Uint8Array} material
 */
async function extract(suite, salt, label, material) {
  const whole = salt.length === 0 ? new Uint8Array(HASH_BYTES) : salt;
  return mac(whole, concat(LABEL, suite, ascii(label), material));
}

/**
 * LabeledExpand for at most one hash: T(1) is enough.
 * @param {Uint8Array} suite
 * @param {Uint8Array} pseudorandom
 * @param {string} label
 * @param {Uint8Array} context
 * @param {number} length
 */
async function expand(suite, pseudorandom, label, context, length) {
  const info = concat(u16(length), LABEL, suite, ascii(label), context);
  return (await mac(pseudorandom, concat(info, [1]))).slice(0, length);
}

/**
 * @param {Uint8Array} key
 * @param {Uint8Array<ArrayBuffer>} data
 */
async function mac(key, data) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", concat(key), algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}
