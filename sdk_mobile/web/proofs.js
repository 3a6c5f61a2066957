// @ts-check
/** Proofs that a request is this phone's. Knows nothing of the network. */

import { ascii, toBase64url, utf8 } from "./bytes.js";

export const PROOF_AGE_MAX_SECONDS = 240; // the backend takes 300; the rest is for the way

/**
 * What a proof says: whom it speaks to, its id, and when it was made (unix seconds).
 * @typedef {object} Proof
 * @property {string} audience
 * @property {string} jti
 * @property {number} issuedAt
 */

/**
 * The bytes that are signed: header and claims aud, jti, iat of a compact JWS (RFC 7515).
 * @param {Proof} proof
 */
export function signingInput({ audience, jti, issuedAt }) {
  const header = part({ alg: "ES256", typ: "JWT" });
  return `${header}.${part({ aud: audience, jti, iat: issuedAt })}`;
}

/**
 * A compact JWS, ES256.
 * @param {Pick<import("./keys.js").DeviceKeys, "sign">} keys
 * @param {Proof} proof
 */
export async function makeProof(keys, proof) {
  const input = signingInput(proof);
  return `${input}.${toBase64url(await keys.sign(ascii(input)))}`;
}

/** @param {Record<string, string | number>} value */
function part(value) {
  return toBase64url(utf8(JSON.stringify(value)));
}
