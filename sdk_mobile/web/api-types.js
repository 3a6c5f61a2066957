// @ts-check
/**
 * What the API takes and tells, for the calls this SDK makes.
 * Written by `python -m tools.openapi_types` from the OpenAPI document; not by hand.
 */

/**
 * @typedef {object} Attestation
 * @property {string} nonce
 * @property {string} statement
 */

/**
 * @typedef {object} CardPage
 * @property {Card[]} data
 * @property {string | null} [next]
 */

/**
 * @typedef {object} Card
 * @property {string} [token_id]
 * @property {string} [token_number]
 * @property {string} [short_number]
 * @property {"pending" | "active" | "suspended" | "deleted"} [state]
 * @property {string} [product]
 * @property {string} [label]
 * @property {string} [certificate]
 * @property {string} [wallet_id]
 * @property {string} [device_id]
 * @property {number} [suite]
 * @property {"main" | "secondary" | "mobile"} [card_kind]
 * @property {"provisioned" | "moved_here" | "confirmed" | "moved_on" | "move_overdue" | "holder_reported_loss" | "holder_released" | "staff_released" | "device_ended" | "lost_plastic" | "lost_phone" | "new_phone" | "sim_change" | "death" | "moved_away" | "counters_conflict" | "log_conflict"} [suspended_for]
 * @property {Keys | null} [keys]
 */

/**
 * @typedef {object} CodeRead
 * @property {string} [merchant_name]
 * @property {string} [shop_name]
 * @property {string} [shop_id]
 * @property {number | null} [amount_fen]
 * @property {string | null} [bill_number]
 */

/**
 * @typedef {object} ConfirmCard
 * @property {string} proof
 */

/**
 * @typedef {object} Device
 * @property {string} [device_id]
 * @property {string} [name]
 * @property {"active" | "ended"} [state]
 * @property {string} [enrolled_at] date-time
 * @property {"none" | "software" | "hardware"} [attested]
 * @property {"unknown" | "verified" | "broken"} [os_integrity]
 * @property {number[]} [suites]
 */

/**
 * @typedef {object} Empty
 */

/**
 * @typedef {object} EnrolDevice
 * @property {string} device_id
 * @property {string} name
 * @property {Record<string, unknown>} signing_key
 * @property {Record<string, unknown>} sealing_key
 * @property {string} proof
 * @property {Attestation | null} [attestation]
 * @property {Sm2Given | null} [sm2]
 */

/**
 * @typedef {object} HistoryLinePage
 * @property {HistoryLine[]} data
 * @property {string | null} [next]
 */

/**
 * @typedef {object} HistoryLine
 * @property {string} [line_id]
 * @property {string} [time] date-time
 * @property {string} [code]
 * @property {number} [amount_fen]
 * @property {number} [balance_fen]
 * @property {string} [reference]
 * @property {string} [counterparty]
 */

/**
 * @typedef {object} Keys
 * @property {number} [key_index]
 * @property {number} [key_version]
 * @property {number} [suite]
 * @property {string} [sealed]
 * @property {number} [uses_max]
 * @property {string} [not_before] date-time
 * @property {string} [not_after] date-time
 */

/**
 * @typedef {object} LogIn
 * @property {string} challenge_id
 * @property {string} phone
 * @property {string} code
 * @property {Record<string, unknown>} device_key
 * @property {string} device_name
 * @property {string} proof
 */

/**
 * @typedef {object} LoggedTap
 * @property {number} atc
 * @property {number} key_index
 * @property {string | null} [cryptogram]
 */

/**
 * @typedef {object} LoginCodeRequest
 * @property {string} phone
 */

/**
 * @typedef {object} LoginCode
 * @property {string} challenge_id
 * @property {string} expires_at date-time
 * @property {string} resend_at date-time
 */

/**
 * @typedef {object} MoveCard
 * @property {string} new_token_id
 * @property {string} device_id
 */

/**
 * @typedef {object} OpenWallet
 * @property {string} wallet_id
 */

/**
 * @typedef {object} PayMerchantCode
 * @property {string} payment_id
 * @property {string} wallet_id
 * @property {string} merchant_code
 * @property {number} amount_fen
 */

/**
 * @typedef {object} Payment
 * @property {string} [payment_id]
 * @property {"authorised" | "captured" | "voided" | "partially_refunded" | "refunded" | "reversed"} [state]
 * @property {number} [amount_fen]
 * @property {number} [captured_fen]
 * @property {number} [refunded_fen]
 * @property {"tap" | "pay_code" | "merchant_code" | "static_code" | "ride_code"} [method]
 * @property {string} [merchant_name]
 * @property {string} [shop_name]
 * @property {string | null} [terminal_number]
 * @property {string | null} [token_number_masked]
 * @property {string} [business_date] date
 * @property {string} [created_at] date-time
 * @property {string | null} [bill_number]
 * @property {string | null} [register_reference]
 * @property {number | null} [balance_fen]
 */

/**
 * @typedef {object} Person
 * @property {string} person_id
 * @property {string} phone_masked
 * @property {string | null} name_masked
 * @property {string | null} id_number_masked
 * @property {boolean} registered
 * @property {string | null} matched_at date-time
 */

/**
 * @typedef {object} Provision
 * @property {string} token_id
 * @property {string} device_id
 * @property {string} wallet_id
 * @property {string} product
 */

/**
 * @typedef {object} ReadCode
 * @property {string} content
 */

/**
 * @typedef {object} Refill
 * @property {number} atc
 * @property {LoggedTap[] | null} [log]
 */

/**
 * @typedef {object} Refresh
 * @property {string} refresh_token
 * @property {string} proof
 */

/**
 * @typedef {object} Registration
 * @property {string} name
 * @property {string} id_number
 */

/**
 * @typedef {object} RequestTopUp
 * @property {string} topup_id
 * @property {string} wallet_id
 * @property {number} amount_fen
 * @property {string} bank_card
 */

/**
 * @typedef {object} SignedPart
 * @property {string} [content]
 * @property {string} [authorised_until] date-time
 */

/**
 * @typedef {object} Sm2Given
 * @property {Record<string, unknown>} signing_key
 * @property {string} proof
 */

/**
 * @typedef {object} StepUpAnswer
 * @property {string} code
 */

/**
 * @typedef {object} StepUp
 * @property {string} [step_up_id]
 * @property {"provision" | "refill" | "release"} [purpose]
 * @property {string} [subject]
 * @property {"waiting" | "locked" | "passed" | "used"} [state]
 * @property {string} [expires_at] date-time
 */

/**
 * @typedef {object} Tokens
 * @property {string} access_token
 * @property {string} token_type
 * @property {number} expires_in
 * @property {string} refresh_token
 * @property {string} session_id
 * @property {boolean} registered
 */

/**
 * @typedef {object} TopUp
 * @property {string} [topup_id]
 * @property {string} [wallet_id]
 * @property {number} [amount_fen]
 * @property {"processing" | "succeeded" | "failed"} [state]
 * @property {string | null} [failure_code]
 * @property {string} [bank_card_masked]
 * @property {boolean} [automatic]
 * @property {string} [created_at] date-time
 * @property {string | null} [settled_at] date-time
 * @property {string | null} [ask_again_at] date-time
 */

/**
 * @typedef {object} WalletPage
 * @property {Wallet[]} data
 * @property {string | null} [next]
 */

/**
 * @typedef {object} Wallet
 * @property {string} wallet_id
 * @property {string} [state]
 * @property {string} [account_class]
 * @property {number} [balance_fen]
 * @property {number} [available_fen]
 * @property {number | null} [ceiling_fen]
 * @property {string} [opened_at] date-time
 */

export {};
