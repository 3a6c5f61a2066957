// @ts-check
/** What a page imports: one door to the SDK. */

export * from "./errors.js";
export { CLAIMS, PURPOSES } from "./identity-code.js";
export { askToPersist, IndexedDbStore, MemoryStore } from "./store.js";
export { Wallet } from "./wallet.js";
