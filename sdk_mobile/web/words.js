// @ts-check
/**
 * Sentences for the codes the SDK throws by itself.
 * Written by `python -m tools.openapi_types`; not by hand.
 */

/** @type {Readonly<Record<string, Readonly<{zh: string, en: string}>>>} */
export const WORDS = Object.freeze({
  answer_malformed: { zh: "服务器的回答无法识别", en: "The answer could not be understood" },
  card_deleted: { zh: "此卡已注销", en: "This card has ended" },
  card_pending: { zh: "此卡尚未在本机确认", en: "This card is not confirmed here yet" },
  card_suspended: { zh: "此卡已停用", en: "This card is suspended" },
  codes_too_fast: { zh: "刷新太快，请稍候", en: "Too fast: wait a moment" },
  identity_code_malformed: { zh: "身份码无法识别", en: "Identity code not readable" },
  key_batch_malformed: { zh: "卡片密钥无法识别", en: "The card's keys are not readable" },
  key_batch_unopened: { zh: "卡片密钥无法打开", en: "The card's keys cannot be opened" },
  key_malformed: { zh: "卡片密钥无法识别", en: "The card's keys are not readable" },
  keys_expired: { zh: "请联网一次以更新密钥", en: "Go online once to renew the keys" },
  keys_unreadable: { zh: "卡片密钥无法打开", en: "The card's keys cannot be opened" },
  merchant_code_malformed: { zh: "收款码无法识别", en: "Merchant code not readable" },
  no_answer: { zh: "尚未收到回答", en: "No answer yet" },
  no_card: { zh: "请先开通手机卡", en: "Put a card on this phone first" },
  no_device: { zh: "请先登记本机", en: "Enrol this phone first" },
  no_keys: { zh: "请联网一次以取得密钥", en: "Go online once to fetch the keys" },
  no_login_code: { zh: "请先获取验证码", en: "Ask for a one-time code first" },
  no_part: { zh: "请联网一次以准备此码", en: "Go online once to prepare this code" },
  no_picture_library: { zh: "本机不能画出二维码", en: "No picture can be drawn here" },
  no_wallet: { zh: "请先开通钱包", en: "Open the wallet first" },
  offline: { zh: "网络不可用，未做任何操作", en: "No network; nothing was done" },
  other_person: { zh: "本机已属于另一手机号", en: "This belongs to another phone number" },
  outcome_unknown: { zh: "结果未知，请勿重复操作", en: "Outcome unknown: do not repeat it" },
  part_expired: { zh: "请联网一次以更新此码", en: "Go online once to renew this code" },
  pay_code_foreign: { zh: "不是本卡的付款码", en: "Another scheme's code" },
  pay_code_malformed: { zh: "付款码无法识别", en: "Pay code not readable" },
  ride_code_malformed: { zh: "乘车码无法识别", en: "Ride code not readable" },
  signed_out: { zh: "请重新登录", en: "Log in again" },
  storage_damaged: { zh: "本机数据已损坏，请重新登记，余额不受影响", en: "Data here is damaged: enrol again; no money is lost" },
  storage_failed: { zh: "本机无法保存数据", en: "Data cannot be kept here" },
  suite_not_supported: { zh: "浏览器不支持此卡", en: "A browser cannot carry this card" },
  token_number_malformed: { zh: "卡号无法识别", en: "Card number not readable" },
  unexpected: { zh: "出现意外错误", en: "Something unexpected happened" },
});
