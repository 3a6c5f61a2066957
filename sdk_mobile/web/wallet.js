// @ts-check
/** The wallet a page talks to: everything a citizen does with it. Knows no bytes on wires. */

import { accountOf } from "./commands.js";
import { CodeUnreadable, NotReady, Offline } from "./errors.js";
import { fetchLines, findKeptLines } from "./history.js";
import { newIdempotencyKey } from "./ids.js";
import { read, readAll } from "./shapes.js";
import { findOperation, isSettled, withTopUp } from "./state.js";
import { CardCalls } from "./wallet-cards.js";
import { assemble } from "./wallet-parts.js";

const HISTORY = "history";
const ASK_AGAIN_MIN_SECONDS = 0.2;
const ASK_AGAIN_MAX_SECONDS = 30;
const MERCHANT_CODE_CHARACTERS_MAX = 512;

/**
 * One citizen's wallet and card in one browser. All of it survives a reload; every tab has the
 * same. Documents (accounts, cards, payments, …) are as the API tells them, in its spelling.
 *
 * Every method that moves or makes something stores its ids before it sends. It throws `Refused`
 * (the backend said no), `Offline` (nothing was done), `SignedOut`, or `OutcomeUnknown`: then
 * `resume()` sends the same bytes again and learns the first answer, also after a crash.
 */
export class Wallet extends CardCalls {
  /**
   * Throws StorageDamaged, StorageFailed, and TypeError when `baseUrl` has no TLS and is not this
   * machine.
   * @param {string} baseUrl a page's own origin, as a rule
   * @param {import("./wallet-parts.js").WalletOptions} [options]
   * @returns {Promise<Wallet>}
   */
  static async open(baseUrl, options = {}) {
    /** @type {Wallet} */
    const wallet = new Wallet(await assemble(baseUrl, options, () => wallet.usableCard()));
    return wallet;
  }

  // Who the citizen is

  /**
   * Has a one-time code sent to `phone` (11 digits) by SMS.
   * @param {string} phone
   * @returns {Promise<import("./api-types.js").LoginCode>}
   */
  async requestLoginCode(phone) {
    await this.requirePhone(phone);
    const body = JSON.stringify({ phone });
    const sent = read(
      "loginCode",
      await this.parts.sessions.askWithoutToken({
        method: "POST",
        path: "/v1/login/codes",
        body,
        idempotencyKey: newIdempotencyKey(),
      }),
    );
    const challenge = { challengeId: sent.challenge_id, phone };
    await this.parts.document.change((state) => ({ ...state, challenge }));
    return sent;
  }

  /**
   * Begins a session bound to this browser's key. True when the person is registered.
   * @param {string} phone
   * @param {string} code
   * @param {string} [deviceName]
   * @returns {Promise<boolean>}
   */
  async logIn(phone, code, deviceName = "browser") {
    await this.requirePhone(phone);
    const make = this.parts.commands.logIn(phone, code, deviceName);
    return this.parts.operations.perform("log_in", make, (open) => {
      const body = JSON.parse(open.body);
      return body.phone === phone && body.code === code;
    });
  }

  /**
   * Matches the person with the city's base records. The number is not stored here: after a lost
   * answer (Offline) call it again.
   * @param {string} name
   * @param {string} idNumber
   */
  async register(name, idNumber) {
    const body = JSON.stringify({ name, id_number: idNumber });
    const answer = await this.parts.sessions.ask({
      method: "PUT",
      path: "/v1/me/registration",
      body,
      idempotencyKey: newIdempotencyKey(),
    });
    return this.remember("person", read("person", answer.document));
  }

  /** Who is logged in; offline the remembered answer, when there is one. */
  async person() {
    try {
      return await this.remember("person", read("person", await this.parts.sessions.get("/v1/me")));
    } catch (error) {
      const { person } = await this.parts.document.read();
      if (error instanceof Offline && person !== null) return person;
      throw error;
    }
  }

  /** Forgets everything, keys included: for a borrowed browser. What is open is lost from sight. */
  async forget() {
    await this.parts.store.wipe();
  }

  // The account

  /** Opens the wallet, or takes up the one the person already has. */
  async openWallet() {
    const state = await this.parts.document.read();
    if (state.account !== null) return state.account;
    if (findOperation(state, "open_wallet") === null) {
      const mine = (await this.askAccounts()).find((one) => one.state !== "closed");
      if (mine !== undefined) return this.rememberAccount(mine);
    }
    return this.parts.operations.perform("open_wallet", this.parts.commands.openWallet());
  }

  // Money

  /**
   * 充值 from a bank card (16 to 19 digits). Often `processing` at first: wait for it.
   * @param {number} amountFen
   * @param {string} bankCard
   */
  async topUp(amountFen, bankCard) {
    requireAmount(amountFen);
    const make = this.parts.commands.topUp(amountFen, bankCard);
    return this.parts.operations.perform("top_up", make);
  }

  /**
   * Asks how a top-up stands.
   * @param {string} topupId
   */
  async topUpStatus(topupId) {
    const topUp = read("topUp", await this.parts.sessions.get(`/v1/me/topups/${topupId}`));
    await this.parts.document.change((state) => withTopUp(state, topUp));
    return topUp;
  }

  /**
   * Asks as the backend says until it is settled or the time is over; the last answer may still be
   * `processing`. Throws Offline when the network is away at the end.
   * @param {string} topupId
   * @param {number} [timeoutSeconds]
   */
  async waitForTopUp(topupId, timeoutSeconds = 60) {
    const { clock, sleep } = this.parts;
    let leftSeconds = timeoutSeconds;
    for (;;) {
      const before = clock.phone();
      let waitSeconds = ASK_AGAIN_MIN_SECONDS;
      try {
        const topUp = await this.topUpStatus(topupId);
        if (isSettled(topUp) || leftSeconds <= 0) return topUp;
        waitSeconds = askAgainSeconds(topUp, clock.nowSeconds());
      } catch (error) {
        if (!(error instanceof Offline) || leftSeconds <= 0) throw error;
      }
      waitSeconds = Math.min(waitSeconds, leftSeconds);
      await sleep(waitSeconds);
      // A request that fails takes its time too; a clock set back must not give it back.
      leftSeconds -= Math.max(clock.phone() - before, waitSeconds, ASK_AGAIN_MIN_SECONDS);
    }
  }

  /** Top-ups last heard of as `processing`, oldest first. */
  async unsettledTopUps() {
    return (await this.parts.document.read()).topUps.filter((one) => !isSettled(one));
  }

  /** The balance; offline the last known, `isFresh` false, with its time. */
  async balance() {
    const { wallet_id: walletId } = accountOf(await this.parts.document.read());
    let isFresh = true;
    try {
      const found = (await this.askAccounts()).find((one) => one.wallet_id === walletId);
      if (found === undefined) throw new NotReady("no_wallet", "the backend does not know it");
      await this.rememberAccount(found);
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      isFresh = false;
    }
    const state = await this.parts.document.read();
    const { balance_fen: balanceFen, available_fen: availableFen } = accountOf(state);
    return { balanceFen, availableFen, asOf: state.accountAsOf, isFresh };
  }

  /** The statement, newest first, at most 500 lines; offline the remembered one. */
  async history() {
    const { wallet_id: walletId } = accountOf(await this.parts.document.read());
    const kept = findKeptLines(await this.parts.store.read(HISTORY));
    try {
      const lines = await fetchLines(this.parts.sessions, walletId, kept?.lines ?? []);
      const fresh = { lines, asOf: this.parts.clock.now() };
      await this.parts.store.change(HISTORY, () => fresh);
      return { ...fresh, isFresh: true };
    } catch (error) {
      if (error instanceof Offline && kept !== null) return { ...kept, isFresh: false };
      throw error;
    }
  }

  // Paying

  /** 付款码, made without the network. Throws NotReady. */
  async payCode() {
    return this.parts.box.payCode(await this.usableCard());
  }

  /**
   * 收款码: who would be paid. Throws CodeUnreadable, Refused, Offline.
   * @param {string} content as scanned
   */
  async readMerchantCode(content) {
    requireMerchantCode(content);
    const body = JSON.stringify({ content });
    const answer = await this.parts.sessions.ask({
      method: "POST",
      path: "/v1/me/merchant-codes",
      body,
      idempotencyKey: newIdempotencyKey(),
    });
    return read("merchantCode", answer.document);
  }

  /**
   * Pays a scanned merchant code. Throws CodeUnreadable before anything is sent.
   * @param {string} content
   * @param {number} amountFen
   */
  async payMerchantCode(content, amountFen) {
    requireAmount(amountFen);
    requireMerchantCode(content);
    return this.parts.operations.perform("pay", this.parts.commands.pay(content, amountFen));
  }

  /**
   * Asks how a payment stands.
   * @param {string} paymentId
   */
  async payment(paymentId) {
    return read("payment", await this.parts.sessions.get(`/v1/me/payments/${paymentId}`));
  }

  // After a lost answer

  /** Operations whose outcome is not known yet. */
  openOperations() {
    return this.parts.operations.openOperations();
  }

  /** Learns the outcome of stored operations; call it at each load and when online again. */
  resume() {
    return this.parts.operations.resume();
  }

  async askAccounts() {
    return readAll("account", await this.parts.sessions.get("/v1/me/wallets"));
  }

  /** @param {any} account */
  async rememberAccount(account) {
    const accountAsOf = this.parts.clock.now();
    await this.parts.document.change((state) => ({ ...state, account, accountAsOf }));
    return account;
  }

  /** @param {string} phone */
  async requirePhone(phone) {
    const owner = (await this.parts.document.read()).phone;
    if (owner !== null && owner !== phone) {
      throw new NotReady("other_person", "this state belongs to another phone number");
    }
  }
}

/** @param {any} topUp @param {number} nowSeconds */
function askAgainSeconds(topUp, nowSeconds) {
  if (topUp.ask_again_at === null) return 1;
  const leftSeconds = Date.parse(topUp.ask_again_at) / 1000 - nowSeconds;
  return Math.min(Math.max(leftSeconds, ASK_AGAIN_MIN_SECONDS), ASK_AGAIN_MAX_SECONDS);
}

/** @param {number} amountFen */
function requireAmount(amountFen) {
  if (!Number.isSafeInteger(amountFen) || amountFen <= 0) {
    throw new TypeError("an amount is a whole number of fen, above zero");
  }
}

/** Only the backend reads merchant codes; what cannot be one is not sent.
 * @param {string} content */
function requireMerchantCode(content) {
  const isShaped = typeof content === "string" && content.startsWith("000201");
  if (!isShaped || content.length > MERCHANT_CODE_CHARACTERS_MAX) {
    throw new CodeUnreadable("merchant_code_malformed", "not the text of a merchant code");
  }
}
