/** A page with nothing on it but the wallet: `run` is what tests call. */

import * as sdk from "/sdk/index.js";
import { makeProof } from "/sdk/proofs.js";
import { makeRunner } from "/app/commands.js";

const store = await sdk.IndexedDbStore.open();
const parts = { ...sdk, makeProof };
globalThis.sdk = sdk;
globalThis.run = await makeRunner(parts, location.origin, store, {});
document.documentElement.dataset.ready = "yes"; // a policy without unsafe-eval lets no test poll
