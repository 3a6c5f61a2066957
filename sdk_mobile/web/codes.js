// @ts-check
/** Ride and identity codes on the page: prepared once a day, then made without the network. */

import { CodeParts } from "./code-parts.js";
import { NotReady } from "./errors.js";
import * as identityCode from "./identity-code.js";
import * as rideCode from "./ride-code.js";

const RIDE_SECOND = "ride_second";
const AHEAD_SECONDS_MAX = 5; // a gate takes 30; the rest is for the clocks

/** @typedef {{content: Uint8Array<ArrayBuffer>, validUntil: Date}} RideCodeView
 *   bytes of a QR code */
/** @typedef {{content: string, purpose: string, claims: string[], validUntil: Date}}
 *   IdentityCodeView text of a QR code */

/** 乘车码. */
export class RideCodes {
  /** @param {import("./code-parts.js").CodeSource} source */
  constructor(source) {
    this.source = source;
    const keyIn = (/** @type {Uint8Array} */ content) => rideCode.decodePart(content).userPublicKey;
    this.parts = new CodeParts("ride", keyIn, source);
  }

  /** Fetches the issuer's part once a day; true when it did. Call it when online. */
  refreshIfNeeded() {
    return this.parts.refreshIfNeeded();
  }

  /**
   * A fresh code. Throws NotReady: `no_card`, `card_…`, `no_part`, `part_expired`,
   * `codes_too_fast`.
   * @returns {Promise<RideCodeView>}
   */
  async show() {
    const { clock, keys } = this.source;
    const card = await this.source.card();
    const part = await this.parts.get(card);
    const second = await this.takeSecond(card.token_id);
    const content = await rideCode.show(part, second, (data) => keys.sign(data));
    return { content, validUntil: clock.byPhone(second + rideCode.VALIDITY_SECONDS) };
  }

  /**
   * A second no code of this card was made for, in any tab: a gate knows a code by card and second,
   * so a second code of one second would be refused as used.
   * @param {string} tokenId
   * @returns {Promise<number>}
   */
  async takeSecond(tokenId) {
    const now = Math.floor(this.source.clock.nowSeconds());
    const taken = await this.source.store.change(RIDE_SECOND, (held) => {
      const last = held?.tokenId === tokenId ? held.second : 0;
      // A last one far ahead was made before the clock was set back: it is no reason to wait.
      const isNear = last >= now && last <= now + rideCode.VALIDITY_SECONDS;
      const second = isNear ? last + 1 : now;
      if (second > now + AHEAD_SECONDS_MAX) {
        throw new NotReady("codes_too_fast", "one code a second");
      }
      return { tokenId, second };
    });
    return taken.second;
  }
}

/** 身份码. */
export class IdentityCodes {
  /** @param {import("./code-parts.js").CodeSource} source */
  constructor(source) {
    this.source = source;
    const keyIn = (/** @type {Uint8Array} */ content) =>
      identityCode.decodePart(content).userPublicKey;
    this.parts = new CodeParts("identity", keyIn, source);
  }

  /** Fetches the issuer's part once a day; true when it did. Call it when online. */
  refreshIfNeeded() {
    return this.parts.refreshIfNeeded();
  }

  /**
   * A fresh code for one of PURPOSES that lets exactly these of CLAIMS be learnt.
   *
   * Throws MalformedBytes `identity_code_malformed` for another purpose or claim, or none;
   * NotReady as `RideCodes.show`.
   * @param {string} purpose
   * @param {Iterable<string>} claims
   * @returns {Promise<IdentityCodeView>}
   */
  async show(purpose, claims) {
    const { clock, keys } = this.source;
    const named = [...new Set(claims)];
    const part = await this.parts.get(await this.source.card());
    const now = Math.floor(clock.nowSeconds());
    const nonce = crypto.getRandomValues(new Uint8Array(identityCode.NONCE_BYTES));
    const sign = (/** @type {Uint8Array<ArrayBuffer>} */ data) => keys.sign(data);
    const content = await identityCode.show(part, { purpose, claims: named }, now, nonce, sign);
    const order = Object.keys(identityCode.CLAIMS);
    named.sort((one, other) => order.indexOf(one) - order.indexOf(other));
    const validUntil = clock.byPhone(now + identityCode.VALIDITY_SECONDS);
    return { content, purpose, claims: named, validUntil };
  }
}
