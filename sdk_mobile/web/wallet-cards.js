// @ts-check
/** The wallet's calls about this browser and its card. Knows no bytes on wires and no money. */

import { cardOf } from "./commands.js";
import { NotReady, Refused } from "./errors.js";
import { read, readAll } from "./shapes.js";
import { findOperation } from "./state.js";

const CARDS_MAX = "200";
const KEY_MISSING = "device_key_missing";

/**
 * The part of `Wallet` that is about browser and card; it throws what `Wallet` throws. `Refused`
 * with code `step_up_required` asks for a one-time code: `answerStepUp`, then the same call again.
 */
export class CardCalls {
  /** @param {import("./wallet-parts.js").Parts} parts from `assemble`; pages call `Wallet.open` */
  constructor(parts) {
    this.parts = parts;
    this.ride = parts.ride;
    this.identity = parts.identity;
  }

  /**
   * Makes this browser known with its signing and its sealing key.
   * @param {string} name
   */
  async enrolDevice(name) {
    const { device } = await this.parts.document.read();
    if (device !== null) return device;
    return this.parts.operations.perform("enrol_device", this.parts.commands.enrolDevice(name));
  }

  /**
   * Puts a phone card into this browser. Throws NotReady `suite_not_supported` where the city's
   * cards need SM2, which no browser has.
   */
  async provisionCard() {
    let { card } = await this.parts.document.read();
    if (card === null || card.state === "deleted") {
      const make = this.parts.commands.provisionCard();
      card = await ofOurSuite(this.parts.operations.perform("provision_card", make));
    }
    if ((await this.parts.box.findKeys(card.token_id)) === null) await this.refillKeysIfNeeded();
    return card;
  }

  /**
   * Gives the one-time code that a refusal asked for (its `data.step_up_id`). The same code again
   * is the same request: a lost answer costs no try.
   * @param {string} stepUpId
   * @param {string} code
   */
  async answerStepUp(stepUpId, code) {
    const content = new TextEncoder().encode(`${stepUpId} ${code}`);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const key = Array.from(digest.subarray(0, 20), (one) => one.toString(16).padStart(2, "0"));
    await this.parts.sessions.ask({
      method: "POST",
      path: `/v1/me/step-ups/${stepUpId}/answers`,
      body: JSON.stringify({ code }),
      idempotencyKey: key.join(""),
    });
  }

  /** All phone cards of the person, on other phones too. */
  async cards() {
    return readAll("card", await this.parts.sessions.get("/v1/me/cards", { limit: CARDS_MAX }));
  }

  /**
   * Brings a card from another phone here; that one's ends once this one lives. Call it again
   * after a one-time code, and after a lost answer.
   * @param {string} oldTokenId
   */
  async moveCard(oldTokenId) {
    let { card } = await this.parts.document.read();
    if (card === null || card.state === "deleted") {
      const make = this.parts.commands.moveCard(oldTokenId);
      const path = `/v1/me/cards/${oldTokenId}/moves`;
      const moving = this.parts.operations.perform("move_card", make, (one) => one.path === path);
      card = await ofOurSuite(moving);
    }
    return card.state === "pending" ? this.confirmCard() : card;
  }

  /** Says that this browser holds the card's keys. Throws NotReady `no_keys`. */
  async confirmCard() {
    const card = await this.phoneCard();
    if ((await this.parts.box.findKeys(card.token_id)) === null) {
      throw new NotReady("no_keys", "the card has no keys on this phone");
    }
    return this.parts.operations.perform("confirm_card", this.parts.commands.confirmCard());
  }

  /** The card's description, as last told. Throws NotReady `no_card`. */
  async phoneCard() {
    return cardOf(await this.parts.document.read());
  }

  /** Asks how the card stands: it may have been suspended or released elsewhere. */
  async refreshCard() {
    const { token_id: tokenId } = await this.phoneCard();
    const document = await this.parts.sessions.get(`/v1/me/cards/${tokenId}`);
    return this.remember("card", read("card", document));
  }

  /** Fetches new keys below one third of their time; true when it did. Call it when online. */
  async refillKeysIfNeeded() {
    const state = await this.parts.document.read();
    const isOpen = findOperation(state, "refill_keys") !== null;
    if (!isOpen && !(await this.parts.box.needsRefill(cardOf(state).token_id))) return false;
    await this.parts.operations.perform("refill_keys", this.parts.commands.refillKeys());
    return true;
  }

  /** 挂失: suspends the card at once. */
  reportLoss() {
    return this.performLoss("loss-report");
  }

  /** 解挂: takes the loss report back. */
  release() {
    return this.performLoss("release");
  }

  async usableCard() {
    const card = await this.phoneCard();
    if (card.state !== "active") throw new NotReady(`card_${card.state}`, "it cannot pay now");
    return card;
  }

  /**
   * @param {"person" | "card"} name
   * @param {any} value
   */
  async remember(name, value) {
    await this.parts.document.change((state) => ({ ...state, [name]: value }));
    return value;
  }

  /** @param {string} wish */
  async performLoss(wish) {
    const path = `/v1/me/cards/${(await this.phoneCard()).token_id}/${wish}`;
    const make = this.parts.commands.loss(path);
    return this.parts.operations.perform("loss", make, (one) => one.path === path);
  }
}

/**
 * A card's answer; a city whose cards need SM2 says so in our words.
 * @param {Promise<any>} asked
 */
async function ofOurSuite(asked) {
  try {
    return await asked;
  } catch (error) {
    const isOther = error instanceof Refused && error.code === KEY_MISSING;
    if (isOther) throw new NotReady("suite_not_supported", "a browser makes no SM2 key");
    throw error;
  }
}
