/**
 * The web SDK under node, driven by lines of JSON: a command a line, an answer a line.
 * Waiting takes no time: it moves the clock, which `clock` sets (unix seconds; 0: the machine's).
 */

import { createInterface } from "node:readline";

import * as sdk from "../../sdk_mobile/web/index.js";
import { makeProof } from "../../sdk_mobile/web/proofs.js";
import { makeRunner } from "./commands.mjs";

const [url, startSeconds] = process.argv.slice(2);
const phone = { seconds: Number(startSeconds), isOnline: true };
const run = await makeRunner({ ...sdk, makeProof }, url, new sdk.MemoryStore(), phone);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line)))}\n`);
}
