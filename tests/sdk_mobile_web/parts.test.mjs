/** The parts of the web SDK that need no backend: client, store, state, clock, ids, words. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, NoAnswer } from "../../sdk_mobile/web/client.js";
import { SkewedClock } from "../../sdk_mobile/web/clock.js";
import { RideCodes } from "../../sdk_mobile/web/codes.js";
import { NotReady, Offline, Refused, StorageDamaged } from "../../sdk_mobile/web/errors.js";
import { newId, newIdempotencyKey } from "../../sdk_mobile/web/ids.js";
import { DeviceKeys } from "../../sdk_mobile/web/keys.js";
import { read } from "../../sdk_mobile/web/shapes.js";
import { StateDocument } from "../../sdk_mobile/web/state.js";
import { MemoryStore } from "../../sdk_mobile/web/store.js";

const JSON_TYPE = { "Content-Type": "application/json" };
const URL_OF = "https://city.example";
const POST = { method: "POST", path: "/v1/x", body: "{}", idempotencyKey: "k" };

function answer(status, document, headers = {}) {
  const all = { ...JSON_TYPE, ...headers };
  return () => new Response(JSON.stringify(document), { status, headers: all });
}

/** A client whose network plays the answers in turn; the last one for ever. */
function clientOf(answers, more = {}) {
  const seen = { requests: [], slept: [], times: [] };
  const client = new Client(URL_OF, {
    language: "en",
    fetch: async (url, options) => {
      seen.requests.push({ url, ...options });
      return answers[Math.min(seen.requests.length, answers.length) - 1]();
    },
    isOnline: () => true,
    onBackendTime: async (seconds) => seen.times.push(seconds),
    sleep: async (seconds) => seen.slept.push(seconds),
    jitter: () => 1,
    monotonicSeconds: () => 0,
    ...more,
  });
  return { client, seen };
}

const lost = () => {
  throw new TypeError("network");
};

test("the same bytes and key go out again, and no more than four times", async () => {
  const { client, seen } = clientOf([lost]);
  await assert.rejects(client.send(POST), NoAnswer);
  assert.deepEqual(seen.slept, [0.2, 0.4, 0.8]);
  assert.equal(seen.requests.length, 4);
  for (const { body, headers, credentials, cache } of seen.requests) {
    assert.deepEqual([body, headers["Idempotency-Key"]], ["{}", "k"]);
    assert.deepEqual([credentials, cache], ["omit", "no-store"]);
  }
});

test("a browser that knows it is offline sends nothing", async () => {
  const { client, seen } = clientOf([lost], { isOnline: () => false });
  await assert.rejects(client.send(POST), Offline);
  assert.equal(seen.requests.length, 0);
});

test("a refusal tells its code, and whether an earlier attempt may have been done", async () => {
  const problem = { code: "ceiling", title: "t", detail: "d", status: 402, ceiling_fen: 5 };
  const { client } = clientOf([lost, answer(402, problem)]);
  await assert.rejects(client.send(POST), (error) => {
    assert.ok(error instanceof Refused);
    assert.deepEqual([error.code, error.status, error.data], ["ceiling", 402, { ceiling_fen: 5 }]);
    assert.equal(error.words("en"), "d");
    return error.earlierAttemptOpen;
  });
});

const busy = answer(429, { code: "rate_limited" }, { "Retry-After": "2" });
const missed = [
  ["a portal's page", () => new Response("<html>", { headers: { "Content-Type": "text/html" } })],
  ["a list", answer(200, [])],
  ["a broken document", () => new Response("{", { headers: JSON_TYPE })],
  ["too long", () => new Response(`"${"x".repeat(1024 * 1024)}"`, { headers: JSON_TYPE })],
  ["a fault", answer(503, { code: "unavailable" })],
  ["still running", answer(409, { code: "operation_running" }, { "Retry-After": "1" })],
  ["no code", answer(404, {})],
];
for (const [what, reply] of missed) {
  test(`${what} is no answer, and the next attempt may have one`, async () => {
    const { client } = clientOf([reply, answer(200, { done: true })]);
    assert.deepEqual((await client.send(POST)).document, { done: true });
    await assert.rejects(clientOf([reply]).client.send(POST), NoAnswer);
  });
}

test("429 waits as told, did nothing, and is told when it stays", async () => {
  const { client, seen } = clientOf([busy]);
  await assert.rejects(client.send(POST), (error) => {
    return error.code === "rate_limited" && !error.earlierAttemptOpen;
  });
  assert.deepEqual(seen.slept, [2, 2, 2]);
  const long = clientOf([answer(429, { code: "rate_limited" }, { "Retry-After": "60" })]);
  await assert.rejects(long.client.send(POST), Refused);
  assert.equal(long.seen.requests.length, 1);
});

test("only TLS, or this machine", () => {
  for (const url of ["http://city.example", "ftp://127.0.0.1", "city", ""]) {
    assert.throws(() => new Client(url, {}), TypeError, url);
  }
  new Client("http://127.0.0.1:8080/", {});
});

test("the backend's Date is told, in the middle of its second", async () => {
  const date = { Date: "Mon, 23 Nov 2026 00:00:10 GMT" };
  const { client, seen } = clientOf([answer(200, {}, date)]);
  await client.send(POST);
  assert.deepEqual(seen.times, [Date.UTC(2026, 10, 23, 0, 0, 10) / 1000 + 0.5]);
  const clock = new SkewedClock(() => 1000);
  assert.ok(!clock.learn(1001.9));
  assert.ok(clock.learn(1000 + 8 * 3600));
  assert.equal(clock.byPhone(1000 + 8 * 3600 + 30).getTime(), 1_030_000);
});

test("changes of two tabs at once are both kept", async () => {
  const store = new MemoryStore();
  const tabs = [new StateDocument(store), new StateDocument(store)];
  const add = (name) => async (state) => {
    await new Promise((resolve) => setImmediate(resolve)); // the other tab comes between
    return { ...state, topUps: [...state.topUps, name] };
  };
  const names = Array.from({ length: 20 }, (_, at) => `t${at}`);
  await Promise.all(names.map((name, at) => tabs[at % 2].change(add(name))));
  assert.deepEqual([...(await tabs[0].read()).topUps].sort(), [...names].sort());
});

test("a refusal of a change writes nothing", async () => {
  const document = new StateDocument(new MemoryStore());
  await document.change((state) => ({ ...state, phone: "1" }));
  const refuse = () => {
    throw new NotReady("no_card", "x");
  };
  await assert.rejects(document.change(refuse), NotReady);
  assert.equal((await document.read()).phone, "1");
});

for (const held of [null, 5, "x", {}, { form: 2 }, { form: 1, revision: 1, state: {} }, []]) {
  test(`a damaged state is told and left: ${JSON.stringify(held)}`, async () => {
    const store = new MemoryStore();
    store.documents.set("state", held);
    await assert.rejects(new StateDocument(store).read(), StorageDamaged);
    assert.deepEqual(await store.read("state"), held);
  });
}

test("keys are made once for all tabs, and no script reads the private halves", async () => {
  const store = new MemoryStore();
  const [one, other] = await Promise.all([DeviceKeys.open(store), DeviceKeys.open(store)]);
  assert.deepEqual(one.signing.publicBytes, other.signing.publicBytes);
  for (const { privateKey } of [one.signing, one.sealing]) {
    await assert.rejects(crypto.subtle.exportKey("jwk", privateKey), /extractable/);
  }
  store.documents.set("device_keys", { form: 1, signing: {}, sealing: {} });
  await assert.rejects(DeviceKeys.open(store), StorageDamaged);
});

test("ride codes never share a second, and a clock set back does not stop them", async () => {
  let seconds = 1_795_400_000;
  const clock = new SkewedClock(() => seconds);
  const codes = new RideCodes({ store: new MemoryStore(), clock });
  const taken = [];
  for (let at = 0; at < 6; at += 1) taken.push((await codes.takeSecond("tok_1")) - seconds);
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5]);
  await assert.rejects(codes.takeSecond("tok_1"), (error) => error.code === "codes_too_fast");
  assert.equal(await codes.takeSecond("tok_2"), seconds);
  seconds -= 8 * 3600;
  assert.equal(await codes.takeSecond("tok_2"), seconds);
});

test("ids are TypeIDs that sort by time, and no two are the same", () => {
  const ids = [1_795_400_000, 1_795_400_001].map((seconds) => newId("pay", seconds));
  for (const id of ids) assert.match(id, /^pay_0[0-9a-hjkmnp-tv-z]{25}$/);
  assert.ok(ids[0] < ids[1]);
  const many = new Set(Array.from({ length: 1000 }, () => newId("pay", 1)));
  assert.equal(many.size, 1000);
  assert.match(newIdempotencyKey(), /^[A-Za-z0-9_-]{32}$/);
});

test("answers of another shape are refused, unknown members passed over", () => {
  const times = { expires_at: "2026-11-23T00:00:00Z", resend_at: "2026-11-23T00:00:00+08:00" };
  const good = { challenge_id: "c", ...times };
  assert.deepEqual(read("loginCode", { ...good, more: 1 }), good);
  const local = { ...good, expires_at: "2026-11-23T00:00:00" };
  for (const bad of [{ ...good, challenge_id: 1 }, local, null, [], {}]) {
    assert.throws(() => read("loginCode", bad), (error) => error.code === "answer_malformed");
  }
});

test("words in both languages", () => {
  const error = new NotReady("no_card", "x");
  assert.equal(error.words("en"), "Put a card on this phone first");
  assert.equal(error.words("zh-CN"), "请先开通手机卡");
  assert.notEqual(new NotReady("never_heard_of", "x").words("en"), "");
});
