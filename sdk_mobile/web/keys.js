// @ts-check
/**
 * The phone's two P-256 key pairs, one to sign and one to open what is sealed to it, made by
 * WebCrypto so that no script can read the private halves. Knows nothing of requests or cards.
 */

import { concat, toBase64url } from "./bytes.js";
import { StorageDamaged } from "./errors.js";

const DOCUMENT = "device_keys";
const CURVE = "P-256";
const COORDINATE_BYTES = 32;
const POINT_BYTES = 1 + 2 * COORDINATE_BYTES;

/**
 * @typedef {object} KeyPair
 * @property {CryptoKey} privateKey not extractable
 * @property {Uint8Array<ArrayBuffer>} publicBytes SEC1, uncompressed, 65 bytes
 */

/** What this keystore signs with: ES256 only; WebCrypto has no SM2. */
export const SUITES = Object.freeze([1]);

/** Keys in the store; made when first opened, and the same in every tab. */
export class DeviceKeys {
  /**
   * @param {KeyPair} signing ECDSA
   * @param {KeyPair} sealing ECDH
   */
  constructor(signing, sealing) {
    this.signing = signing;
    this.sealing = sealing;
  }

  /**
   * Throws StorageDamaged.
   * @param {import("./store.js").Store} store
   */
  static async open(store) {
    let held = await store.read(DOCUMENT);
    if (held === undefined) {
      const made = {
        form: 1,
        signing: await generate("ECDSA", ["sign", "verify"]),
        sealing: await generate("ECDH", ["deriveBits"]),
      };
      // Another tab may have been here meanwhile: the first pair written is everybody's.
      held = await store.change(DOCUMENT, (now) => now ?? made);
    }
    if (held?.form !== 1 || !isPair(held.signing) || !isPair(held.sealing)) {
      throw new StorageDamaged(DOCUMENT, "not this phone's key pairs");
    }
    return new DeviceKeys(held.signing, held.sealing);
  }

  /**
   * Raw r and s, 64 bytes: ECDSA P-256 with SHA-256 (RFC 7518, section 3.4).
   * @param {Uint8Array<ArrayBuffer>} data
   */
  async sign(data) {
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    return new Uint8Array(await crypto.subtle.sign(algorithm, this.signing.privateKey, data));
  }
}

/**
 * A SEC1 uncompressed point as a JSON Web Key (RFC 7517, RFC 7518 section 6.2).
 * @param {Uint8Array} point
 */
export function jwk(point) {
  const split = 1 + COORDINATE_BYTES;
  const [x, y] = [toBase64url(point.slice(1, split)), toBase64url(point.slice(split))];
  return { kty: "EC", crv: CURVE, x, y };
}

/**
 * SEC1 compressed, 33 bytes, from uncompressed.
 * @param {Uint8Array} point
 */
export function compressed(point) {
  return concat([2 + (point[POINT_BYTES - 1] & 1)], point.subarray(1, 1 + COORDINATE_BYTES));
}

/**
 * @param {"ECDSA" | "ECDH"} name
 * @param {KeyUsage[]} usages
 * @returns {Promise<KeyPair>}
 */
async function generate(name, usages) {
  const algorithm = { name, namedCurve: CURVE };
  const made = await crypto.subtle.generateKey(algorithm, false, usages);
  const pair = /** @type {CryptoKeyPair} */ (made);
  const publicBytes = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { privateKey: pair.privateKey, publicBytes };
}

/** @param {any} pair */
function isPair(pair) {
  const isPoint = pair?.publicBytes instanceof Uint8Array;
  const isKey = pair?.privateKey?.type === "private" && pair.privateKey.extractable === false;
  return isPoint && isKey && pair.publicBytes.length === POINT_BYTES;
}
