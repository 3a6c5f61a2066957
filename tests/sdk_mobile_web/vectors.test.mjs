/** The web SDK gives the reference's bytes on every shared vector, and refuses as it does. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as bytes from "../../sdk_mobile/web/bytes.js";
import * as identityCode from "../../sdk_mobile/web/identity-code.js";
import * as keyBatch from "../../sdk_mobile/web/key-batch.js";
import { compressed, DeviceKeys, jwk } from "../../sdk_mobile/web/keys.js";
import * as payCode from "../../sdk_mobile/web/pay-code.js";
import { makeProof, signingInput } from "../../sdk_mobile/web/proofs.js";
import * as rideCode from "../../sdk_mobile/web/ride-code.js";

const load = (name) =>
  JSON.parse(readFileSync(new URL(`../../sdk_mobile/vectors/${name}.json`, import.meta.url)));
const { fromHex, toHex } = bytes;
const DEVICE = load("device");
const ES256 = { name: "ECDSA", hash: "SHA-256" };

async function pairOf(name, algorithm, usages) {
  const format = { name: algorithm, namedCurve: "P-256" };
  const { private: key, point } = DEVICE[name];
  const privateKey = await crypto.subtle.importKey("jwk", key, format, false, usages);
  return { privateKey, publicBytes: fromHex(point) };
}

const keys = new DeviceKeys(
  await pairOf("signing", "ECDSA", ["sign"]),
  await pairOf("sealing", "ECDH", ["deriveBits"]),
);
const verifyKey = await crypto.subtle.importKey(
  "raw",
  keys.signing.publicBytes,
  { name: "ECDSA", namedCurve: "P-256" },
  false,
  ["verify"],
);
const isGenuine = (signature, data) => crypto.subtle.verify(ES256, verifyKey, signature, data);
const refusedAs = (code) => (error) => error.name === "MalformedBytes" && error.code === code;

test("pay codes", async () => {
  const { key, codes, refused } = load("pay_code");
  const imported = await payCode.importKey(fromHex(key));
  assert.equal(imported.extractable, false);
  assert.ok(codes.length >= 5 && refused.length >= 7);
  for (const one of codes) {
    const oneTime = await payCode.oneTimeDigits(imported, one.step);
    assert.equal(oneTime, one.one_time);
    const digits = payCode.encode(one.short_number, oneTime);
    assert.equal(digits, one.digits);
    assert.equal(payCode.encodeConsumer(digits), one.consumer);
    assert.deepEqual(payCode.decode(digits), { shortNumber: one.short_number, oneTime });
  }
  for (const { text, code } of refused) {
    assert.throws(() => payCode.decode(text), refusedAs(code), text);
  }
  assert.equal(payCode.stepAt(59), 1);
  await assert.rejects(payCode.importKey(new Uint8Array(31)), refusedAs("key_malformed"));
});

test("ride codes", async () => {
  const { codes, refused, vouched, authorised_until, card_number } = load("ride_code");
  for (const one of codes) {
    const part = fromHex(one.part);
    const told = rideCode.decodePart(part);
    assert.equal(toHex(told.userPublicKey), vouched);
    assert.equal(told.authorisedUntil, authorised_until);
    assert.equal(told.cardNumber, card_number);
    assert.equal(toHex(rideCode.signedBytes(part, one.generated_at)), one.signed);
    // The reference's signature in place of ours: then every byte is the same.
    const signature = fromHex(one.code).slice(-64);
    assert.ok(await isGenuine(signature, fromHex(one.signed)));
    assert.equal(
      toHex(await rideCode.show(part, one.generated_at, async () => signature)),
      one.code,
    );
    const own = await rideCode.show(part, one.generated_at, (data) => keys.sign(data));
    assert.equal(toHex(own.slice(0, -64)), one.code.slice(0, -128));
    assert.ok(await isGenuine(own.slice(-64), fromHex(one.signed)));
  }
  assert.ok(refused.length >= 14);
  for (const { what, part, code } of refused) {
    assert.throws(() => rideCode.decodePart(fromHex(part)), refusedAs(code), what);
  }
});

test("identity codes", async () => {
  const { part, codes, refused } = load("identity_code");
  for (const one of codes) {
    const given = [fromHex(part), one, one.generated_at, fromHex(one.nonce)];
    const seen = [];
    const signature = bytes.fromBase64url(one.code.slice(5), "x").slice(-64);
    const code = await identityCode.show(...given, async (data) => {
      seen.push(toHex(data));
      return signature;
    });
    assert.equal(code, one.code);
    assert.deepEqual(seen, [one.signed]);
    assert.ok(await isGenuine(signature, fromHex(one.signed)));
  }
  for (const { what, part: body, code } of refused) {
    assert.throws(() => identityCode.decodePart(fromHex(body)), refusedAs(code), what);
  }
  const show = (agreed) => identityCode.shownFields(fromHex(part), agreed, 1, new Uint8Array(8));
  for (const agreed of [
    { purpose: "library", claims: [] },
    { purpose: "toString", claims: ["name"] },
    { purpose: "library", claims: ["constructor"] },
  ]) {
    assert.throws(() => show(agreed), refusedAs("identity_code_malformed"));
  }
});

test("key batches", async () => {
  const vector = load("key_batch");
  const { token_number: number, key_index: index } = vector;
  assert.equal(toHex(keyBatch.sealInfo(number, index)), vector.info);
  const opened = await keyBatch.openSealed(fromHex(vector.sealed), keys.sealing, number, index);
  assert.equal(toHex(opened.limitedUseKey), vector.limited_use_key);
  assert.equal(toHex(opened.payCodeKey), vector.pay_code_key);
  assert.ok(vector.refused.length >= 8);
  for (const one of vector.refused) {
    const { sealed, token_number, key_index } = one;
    const opening = keyBatch.openSealed(fromHex(sealed), keys.sealing, token_number, key_index);
    await assert.rejects(opening, refusedAs(one.code), one.what);
  }
});

test("proofs and keys as requests tell them", async () => {
  assert.deepEqual(jwk(keys.signing.publicBytes), DEVICE.jwk);
  assert.equal(toHex(compressed(keys.signing.publicBytes)), DEVICE.compressed);
  for (const { audience, jti, issued_at: issuedAt, proof } of load("proof").proofs) {
    const input = signingInput({ audience, jti, issuedAt });
    assert.equal(input, proof.slice(0, proof.lastIndexOf(".")));
    const theirs = bytes.fromBase64url(proof.split(".")[2], "x");
    assert.ok(await isGenuine(theirs, bytes.ascii(input)));
    const ours = (await makeProof(keys, { audience, jti, issuedAt })).split(".")[2];
    assert.ok(await isGenuine(bytes.fromBase64url(ours, "x"), bytes.ascii(input)));
  }
});

test("base64url has one spelling", () => {
  for (const text of ["A", "AB", "AA==", "A A", "+/", "é", 5, null]) {
    assert.throws(() => bytes.fromBase64url(text, "x"), refusedAs("x"), String(text));
  }
  const all = Uint8Array.from({ length: 256 }, (_, at) => at);
  assert.deepEqual(bytes.fromBase64url(bytes.toBase64url(all), "x"), all);
});
