// @ts-check
/** Each kind of operation: the request it makes and what its answer changes. Sends nothing. */

import { AnswerMalformed, NotReady } from "./errors.js";
import { newId } from "./ids.js";
import { jwk } from "./keys.js";
import { LOGIN_PATH } from "./session.js";
import { read } from "./shapes.js";
import { findOperation, withoutOperation, withTopUp } from "./state.js";

/** @typedef {import("./operations.js").Make} Make */
/** @typedef {import("./state.js").Operation} Operation */
/** @typedef {import("./state.js").State} State */
/** @typedef {Record<string, unknown>} Document */

const PRODUCT = "phone_card";
const ATC_NEVER_TAPPED = 0; // a page cannot tap: its counter never moves and its log is empty

/** Builds operations from the state, and states from answers. */
export class Commands {
  /**
   * @param {import("./session.js").Sessions} sessions
   * @param {import("./keys.js").DeviceKeys} keys
   * @param {import("./card-box.js").CardBox} box
   * @param {import("./clock.js").SkewedClock} clock
   */
  constructor(sessions, keys, box, clock) {
    this.sessions = sessions;
    this.keys = keys;
    this.box = box;
    this.clock = clock;
  }

  /** What each kind's answer does; total but for refresh, which sessions take themselves. */
  takes() {
    const takeCard = this.takeCard.bind(this);
    return Object.freeze({
      log_in: this.takeLogIn.bind(this),
      open_wallet: this.takeAccount.bind(this),
      enrol_device: takeDevice,
      provision_card: takeCard,
      refill_keys: this.takeKeys.bind(this),
      move_card: takeCard,
      confirm_card: takeCard,
      top_up: takeTopUp,
      pay: this.takePayment.bind(this),
      loss: takeCard,
    });
  }

  /**
   * @param {string} phone
   * @param {string} code
   * @param {string} deviceName
   * @returns {Make}
   */
  logIn(phone, code, deviceName) {
    return ({ challenge }) => {
      if (challenge === null || challenge.phone !== phone) {
        throw new NotReady("no_login_code", "ask for a one-time code first");
      }
      const body = {
        challenge_id: challenge.challengeId,
        phone,
        code,
        device_key: jwk(this.keys.signing.publicBytes),
        device_name: deviceName,
      };
      const proofJti = challenge.challengeId;
      return this.sessions.makeOperation("log_in", LOGIN_PATH, body, { proofJti });
    };
  }

  /** @returns {Make} */
  openWallet() {
    return () => {
      const operationId = this.newId("wal");
      const body = { wallet_id: operationId };
      return this.sessions.makeOperation("open_wallet", "/v1/me/wallets", body, { operationId });
    };
  }

  /**
   * @param {string} name
   * @returns {Make}
   */
  enrolDevice(name) {
    return () => {
      const operationId = this.newId("dev");
      const body = {
        device_id: operationId,
        name,
        signing_key: jwk(this.keys.signing.publicBytes),
        sealing_key: jwk(this.keys.sealing.publicBytes),
      };
      const ids = { operationId, proofJti: operationId };
      return this.sessions.makeOperation("enrol_device", "/v1/me/devices", body, ids);
    };
  }

  /** @returns {Make} */
  provisionCard() {
    return (state) => {
      const operationId = this.newId("tok");
      const body = {
        token_id: operationId,
        device_id: deviceOf(state).device_id,
        wallet_id: accountOf(state).wallet_id,
        product: PRODUCT,
      };
      return this.sessions.makeOperation("provision_card", "/v1/me/cards", body, { operationId });
    };
  }

  /**
   * @param {string} oldTokenId
   * @returns {Make}
   */
  moveCard(oldTokenId) {
    return (state) => {
      const operationId = this.newId("tok");
      const body = { new_token_id: operationId, device_id: deviceOf(state).device_id };
      const path = `/v1/me/cards/${oldTokenId}/moves`;
      return this.sessions.makeOperation("move_card", path, body, { operationId });
    };
  }

  /** @returns {Make} */
  confirmCard() {
    return (state) => {
      const proofJti = cardOf(state).token_id;
      const path = `/v1/me/cards/${proofJti}/confirmation`;
      return this.sessions.makeOperation("confirm_card", path, {}, { proofJti });
    };
  }

  /** @returns {Make} */
  refillKeys() {
    return (state) => {
      const path = `/v1/me/cards/${cardOf(state).token_id}/keys`;
      const body = { atc: ATC_NEVER_TAPPED, log: [] };
      return this.sessions.makeOperation("refill_keys", path, body);
    };
  }

  /**
   * @param {number} amountFen
   * @param {string} bankCard
   * @returns {Make}
   */
  topUp(amountFen, bankCard) {
    return (state) => {
      const operationId = this.newId("top");
      const body = {
        topup_id: operationId,
        wallet_id: accountOf(state).wallet_id,
        amount_fen: amountFen,
        bank_card: bankCard,
      };
      return this.sessions.makeOperation("top_up", "/v1/me/topups", body, { operationId });
    };
  }

  /**
   * @param {string} merchantCode
   * @param {number} amountFen
   * @returns {Make}
   */
  pay(merchantCode, amountFen) {
    return (state) => {
      const operationId = this.newId("pay");
      const body = {
        payment_id: operationId,
        wallet_id: accountOf(state).wallet_id,
        merchant_code: merchantCode,
        amount_fen: amountFen,
      };
      return this.sessions.makeOperation("pay", "/v1/me/payments", body, { operationId });
    };
  }

  /**
   * @param {string} path
   * @returns {Make}
   */
  loss(path) {
    return () => this.sessions.makeOperation("loss", path, {});
  }

  /** @param {string} prefix */
  newId(prefix) {
    return newId(prefix, this.clock.nowSeconds());
  }

  /**
   * @param {State} state
   * @param {Operation} _operation
   * @param {Document} document
   * @returns {[State, boolean]}
   */
  takeLogIn(state, _operation, document) {
    const after = this.sessions.takeTokens(state, document);
    const stale = findOperation(after, "refresh");
    const rest = stale === null ? after : withoutOperation(after, stale);
    const phone = state.challenge?.phone ?? state.phone;
    return [{ ...rest, phone, challenge: null }, document.registered === true];
  }

  /**
   * @param {State} state
   * @param {Operation} _operation
   * @param {Document} document
   * @returns {[State, any]}
   */
  takeAccount(state, _operation, document) {
    const account = read("account", document);
    return [{ ...state, account, accountAsOf: this.clock.now() }, account];
  }

  /**
   * Keys are stored before the card is: a card in the state has its keys.
   * @param {State} state
   * @param {Operation} _operation
   * @param {Document} document
   * @returns {Promise<[State, any]>}
   */
  async takeCard(state, _operation, document) {
    const card = read("card", document);
    const isOther = state.card !== null && state.card.token_id !== card.token_id;
    if (isOther && state.card.state !== "deleted") {
      throw new AnswerMalformed(`the answer is about ${card.token_id}`);
    }
    if (document.keys != null) await this.box.putKeys(card, read("sealedKeys", document.keys));
    return [{ ...state, card }, card];
  }

  /**
   * @param {State} state
   * @param {Operation} _operation
   * @param {Document} document
   * @returns {Promise<[State, null]>}
   */
  async takeKeys(state, _operation, document) {
    await this.box.putKeys(cardOf(state), read("sealedKeys", document));
    return [state, null];
  }

  /**
   * @param {State} state
   * @param {Operation} operation
   * @param {Document} document
   * @returns {[State, any]}
   */
  takePayment(state, operation, document) {
    const payment = read("payment", document);
    requireSame(operation.operationId, payment.payment_id);
    return [withBalance(state, payment.balance_fen, this.clock.now()), payment];
  }
}

/** @param {State} state */
export function accountOf(state) {
  if (state.account === null) throw new NotReady("no_wallet", "open the wallet first");
  return state.account;
}

/** @param {State} state */
export function deviceOf(state) {
  if (state.device === null) throw new NotReady("no_device", "enrol this phone first");
  return state.device;
}

/** @param {State} state */
export function cardOf(state) {
  if (state.card === null) throw new NotReady("no_card", "put a card on this phone first");
  return state.card;
}

/**
 * @param {State} state
 * @param {Operation} _operation
 * @param {Document} document
 * @returns {[State, any]}
 */
function takeDevice(state, _operation, document) {
  const device = read("device", document);
  return [{ ...state, device }, device];
}

/**
 * @param {State} state
 * @param {Operation} operation
 * @param {Document} document
 * @returns {[State, any]}
 */
function takeTopUp(state, operation, document) {
  const topUp = read("topUp", document);
  requireSame(operation.operationId, topUp.topup_id);
  return [withTopUp(state, topUp), topUp];
}

/**
 * The state with a balance told by the way; what is available is asked for on its own.
 * @param {State} state
 * @param {number | null} balanceFen
 * @param {string} asOf
 * @returns {State}
 */
function withBalance(state, balanceFen, asOf) {
  if (state.account === null || balanceFen === null) return state;
  const available = Math.min(state.account.available_fen, balanceFen);
  const account = { ...state.account, balance_fen: balanceFen, available_fen: available };
  return { ...state, account, accountAsOf: asOf };
}

/** @param {string} sent @param {string} answered */
function requireSame(sent, answered) {
  if (sent !== answered) throw new AnswerMalformed(`the answer is about ${answered}, not ${sent}`);
}
