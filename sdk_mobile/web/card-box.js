// @ts-check
/** The phone card's pay code key in the store, and the pay code. Knows nothing of the network. */

import { KeysUnreadable, MalformedBytes, NotReady, StorageDamaged } from "./errors.js";
import { openSealed } from "./key-batch.js";
import { SUITES } from "./keys.js";
import { encode, encodeConsumer, importKey, oneTimeDigits, STEP_SECONDS } from "./pay-code.js";
import { stepAt } from "./pay-code.js";
import { bytesOf } from "./shapes.js";

const KEYS = "card_keys";
const REFILL_DIVISOR = 3; // more keys are asked for below one third of their time

/**
 * The keys as kept. The key for taps is not: a page cannot tap, so it does not hold the means to.
 * @typedef {object} CardKeys
 * @property {1} form
 * @property {string} tokenId
 * @property {number} keyIndex
 * @property {CryptoKey} payCodeKey not extractable
 * @property {number} notBefore unix seconds
 * @property {number} notAfter unix seconds
 */

/** @typedef {{digits: string, consumerPresented: string, validUntil: Date}} PayCodeView
 *   `validUntil` by this phone's clock */

/** What the page holds for its card. */
export class CardBox {
  /**
   * @param {import("./store.js").Store} store
   * @param {import("./keys.js").DeviceKeys} keys
   * @param {import("./clock.js").SkewedClock} clock
   */
  constructor(store, keys, clock) {
    this.store = store;
    this.keys = keys;
    this.clock = clock;
  }

  /**
   * Opens and stores keys delivered for `card`. Throws KeysUnreadable, and NotReady
   * `suite_not_supported`; old keys stand then.
   * @param {any} card
   * @param {any} sealed
   */
  async putKeys(card, sealed) {
    if (!SUITES.includes(sealed.suite)) {
      throw new NotReady("suite_not_supported", `a browser has no suite ${sealed.suite}`);
    }
    const opened = await this.opened(card, sealed);
    await this.store.change(KEYS, (held) => {
      const isNewer = held?.tokenId === card.token_id && held.keyIndex > sealed.key_index;
      return isNewer ? held : opened; // an answer learnt again may be older than what we hold
    });
  }

  /**
   * @param {any} card
   * @param {any} sealed
   * @returns {Promise<CardKeys>}
   */
  async opened(card, sealed) {
    const { token_number: number, token_id: tokenId } = card;
    try {
      const content = bytesOf(sealed.sealed);
      const batch = await openSealed(content, this.keys.sealing, number, sealed.key_index);
      const payCodeKey = await importKey(batch.payCodeKey);
      batch.payCodeKey.fill(0);
      batch.limitedUseKey.fill(0);
      const notBefore = Date.parse(sealed.not_before) / 1000;
      const notAfter = Date.parse(sealed.not_after) / 1000;
      return { form: 1, tokenId, keyIndex: sealed.key_index, payCodeKey, notBefore, notAfter };
    } catch (error) {
      if (error instanceof MalformedBytes) throw new KeysUnreadable(error.message);
      throw error;
    }
  }

  /**
   * Throws StorageDamaged.
   * @param {string} tokenId
   * @returns {Promise<CardKeys | null>}
   */
  async findKeys(tokenId) {
    const held = await this.store.read(KEYS);
    if (held === undefined) return null;
    const isOurs = held?.form === 1 && held.payCodeKey?.type === "secret";
    if (!isOurs || !Number.isFinite(held.notBefore) || !Number.isFinite(held.notAfter)) {
      throw new StorageDamaged(KEYS, "not the keys that were written");
    }
    return held.tokenId === tokenId ? held : null;
  }

  /**
   * True below one third of the time, and without keys. Pay codes are not counted as uses.
   * @param {string} tokenId
   */
  async needsRefill(tokenId) {
    const keys = await this.findKeys(tokenId);
    if (keys === null) return true;
    const leftSeconds = keys.notAfter - this.clock.nowSeconds();
    return leftSeconds * REFILL_DIVISOR < keys.notAfter - keys.notBefore;
  }

  /**
   * 19 digits for this half minute, made without the network. Throws NotReady: `no_keys`,
   * `keys_expired`.
   * @param {any} card
   * @returns {Promise<PayCodeView>}
   */
  async payCode(card) {
    const keys = await this.findKeys(card.token_id);
    if (keys === null) throw new NotReady("no_keys", "the card has no keys on this phone");
    const now = this.clock.nowSeconds();
    if (now < keys.notBefore || now > keys.notAfter) {
      throw new NotReady("keys_expired", "the card's keys are not valid now: go online once");
    }
    const step = stepAt(Math.floor(now));
    const digits = encode(card.short_number, await oneTimeDigits(keys.payCodeKey, step));
    const validUntil = this.clock.byPhone((step + 1) * STEP_SECONDS);
    return { digits, consumerPresented: encodeConsumer(digits), validUntil };
  }
}
