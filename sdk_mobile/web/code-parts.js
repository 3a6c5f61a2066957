// @ts-check
/** The issuer's part of ride and identity codes, kept for a day; knows not what is in it. */

import { AnswerMalformed, MalformedBytes, NotReady, StorageDamaged } from "./errors.js";
import { compressed } from "./keys.js";
import { bytesOf, read } from "./shapes.js";

const FRESH_FOR_SECONDS = 24 * 60 * 60;

/**
 * What codes are made from, shared by both kinds.
 * @typedef {object} CodeSource
 * @property {import("./store.js").Store} store
 * @property {import("./session.js").Sessions} sessions
 * @property {import("./keys.js").DeviceKeys} keys
 * @property {import("./clock.js").SkewedClock} clock
 * @property {() => Promise<any>} card the card that may be used now, or NotReady
 */

/** One kind of part. */
export class CodeParts {
  /**
   * @param {"ride" | "identity"} name
   * @param {(content: Uint8Array) => Uint8Array} keyIn the public key that a part vouches for
   * @param {CodeSource} source
   */
  constructor(name, keyIn, source) {
    this.name = name;
    this.keyIn = keyIn;
    this.source = source;
  }

  /** Fetches once a day; true when it did. Throws Offline, Refused, SignedOut. */
  async refreshIfNeeded() {
    const { clock, sessions, store } = this.source;
    const card = await this.source.card();
    const held = await this.find(card);
    const now = clock.nowSeconds();
    const isGood = held !== null && now < held.authorisedUntil;
    if (isGood && now < held.fetchedAt + FRESH_FOR_SECONDS) return false;
    const path = `/v1/me/cards/${card.token_id}/${this.name}-part`;
    const answer = read("codePart", await sessions.get(path));
    const content = bytesOf(answer.content);
    this.requireOurs(content);
    const authorisedUntil = Date.parse(answer.authorised_until) / 1000;
    const fetchedAt = clock.nowSeconds();
    const part = { form: 1, tokenId: card.token_id, content, authorisedUntil, fetchedAt };
    await store.change(this.document, () => part);
    return true;
  }

  /**
   * The part, without the network. Throws NotReady: `no_part`, `part_expired`.
   * @param {any} card
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async get(card) {
    const held = await this.find(card);
    if (held === null) {
      throw new NotReady("no_part", "this code was never prepared: go online once");
    }
    if (this.source.clock.nowSeconds() >= held.authorisedUntil) {
      throw new NotReady("part_expired", "the issuer's part is out of date: go online once");
    }
    return held.content;
  }

  get document() {
    return `${this.name}_part`;
  }

  /** @param {any} card */
  async find(card) {
    const held = await this.source.store.read(this.document);
    if (held === undefined) return null;
    const isOurs = held?.form === 1 && held.content instanceof Uint8Array;
    if (!isOurs || !Number.isFinite(held.authorisedUntil) || !Number.isFinite(held.fetchedAt)) {
      throw new StorageDamaged(this.document, "not the part that was written");
    }
    return held.tokenId === card.token_id ? held : null;
  }

  /**
   * A part for another key would make codes that every gate refuses. Throws AnswerMalformed.
   * @param {Uint8Array} content
   */
  requireOurs(content) {
    let vouched;
    try {
      vouched = this.keyIn(content);
    } catch (error) {
      if (error instanceof MalformedBytes) throw new AnswerMalformed(error.message);
      throw error;
    }
    const own = compressed(this.source.keys.signing.publicBytes);
    const isOurs = vouched.length === own.length && vouched.every((one, at) => one === own[at]);
    if (!isOurs) throw new AnswerMalformed("the part vouches for another phone's key");
  }
}
