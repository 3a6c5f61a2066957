// Every word of the page's own, in both languages; what the terminal says comes with its screen.

const WORDS = {
  "zh-CN": {
    title: "收银终端",
    charge: "收款",
    readBalance: "查余额",
    cancel: "取消",
    leave: "稍后再处理",
    leaveHint: "可能已扣款:请勿重复收款。同一张卡再次刷卡时继续。",
    noCancel: "正在处理,请勿离开",
    sales: "最近交易",
    noSales: "本次开机后还没有交易",
    refund: "退款",
    refundTitle: "退款",
    refundLabel: "退款金额(元)",
    refundGo: "确认退款",
    refundDone: "退款成功",
    refundUnknown: "结果未知,请再按一次“确认退款”(不会重复退款)",
    close: "关闭",
    ask: "再查询",
    balance: "余额",
    balanceUnknown: "未知",
    notCharged: "本次未扣款",
    unit: "元",
    fullFare: "原价",
    concession: "优惠",
    reader: "读卡器",
    online: "已联网",
    offline: "未联网",
    unknown: "网络未知",
    bannerOffline: "网络中断:仅受理脱机交易,待上传 {count} 笔",
    bannerLost: "与终端程序的连接中断,正在重连……",
    bannerShut: "登录已失效,请用新的一次性链接打开",
    soundOn: "声音:开",
    soundOff: "声音:关",
    large: "大字",
    normal: "标准字",
    other: "English",
    clear: "清除",
    back: "退格",
    badAmount: "请输入有效金额",
    paid: "已支付",
    read: "余额查询",
    refused: "失败",
    reversed: "已冲正",
    unknownState: "结果未知",
    cancelled: "已取消",
    timed_out: "超时",
    failed: "未完成",
    open: "进行中",
  },
  en: {
    title: "Payment terminal",
    charge: "Charge",
    readBalance: "Read balance",
    cancel: "Cancel",
    leave: "Set aside",
    leaveHint: "May be charged already: do not charge again. It goes on when the same card returns.",
    noCancel: "Working: please stay",
    sales: "Last sales",
    noSales: "No sale since the terminal was switched on",
    refund: "Refund",
    refundTitle: "Refund",
    refundLabel: "Amount to give back (yuan)",
    refundGo: "Refund now",
    refundDone: "Refunded",
    refundUnknown: "Outcome unknown: press “Refund now” once more (never refunded twice)",
    close: "Close",
    ask: "Ask again",
    balance: "Balance",
    balanceUnknown: "unknown",
    notCharged: "Nothing was charged",
    unit: "CNY",
    fullFare: "Full fare",
    concession: "concession",
    reader: "Reader",
    online: "Online",
    offline: "Offline",
    unknown: "Network unknown",
    bannerOffline: "No network: offline sales only, {count} wait for upload",
    bannerLost: "The terminal's program does not answer: connecting again…",
    bannerShut: "Signed out: open this page by a new one-time link",
    soundOn: "Sound on",
    soundOff: "Sound off",
    large: "Large type",
    normal: "Normal type",
    other: "中文",
    clear: "Clear",
    back: "Back",
    badAmount: "Enter an amount",
    paid: "paid",
    read: "balance read",
    refused: "refused",
    reversed: "reversed",
    unknownState: "outcome unknown",
    cancelled: "cancelled",
    timed_out: "timed out",
    failed: "not done",
    open: "open",
  },
};

let language = localStorage.getItem("language") === "en" ? "en" : "zh-CN";

export function current() {
  return language;
}

export function change() {
  language = language === "en" ? "zh-CN" : "en";
  localStorage.setItem("language", language);
}

export function word(name, values = {}) {
  return WORDS[language][name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "–");
}

export function said(words) {
  return language === "en" ? words.en : words.zh;
}

export function yuan(fen) {
  const sign = fen < 0 ? "-" : "";
  const whole = Math.abs(fen);
  return `${sign}${Math.floor(whole / 100)}.${String(whole % 100).padStart(2, "0")}`;
}

// Text like 12.5 to whole fen, or null; digits only, never through a fraction.
export function fen(text) {
  const match = /^(\d{1,8})(?:\.(\d{0,2}))?$/.exec(text.trim());
  if (!match) return null;
  const amount = Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
  return amount > 0 && amount <= 2147483647 ? amount : null;
}
