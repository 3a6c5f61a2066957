"""Every text of the pages, in both languages, in one place. City texts come from city.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backend.kernel import Words, yuan_text
from backend.kernel.clock import BUSINESS_ZONE

LANGUAGES = ("zh", "en")

TEXTS: Mapping[str, Words] = {
    # frame
    "skip": Words(zh="跳到正文", en="Skip to content"),
    "languages": Words(zh="语言", en="Language"),
    "page_title": Words(zh="{city}市民卡 · {card}", en="{card} · {city} citizen card"),
    "demo_notice": Words(
        zh="演示系统：城市、人员和资金均为虚构，没有真实支付。",
        en="A demonstration: city, persons and money are fictional. No real payment.",
    ),
    "run_by": Words(zh="运营：{operator}", en="Run by {operator}"),
    # story
    "story_title": Words(zh="一张手机卡的故事", en="The story of a phone card"),
    "story_what": Words(
        zh="从登记、开户、发卡、充值，到刷卡、扫码、退款与对账：每一步都经过真实接口。",
        en="From registration, wallet, card and top-up to tap, code, refund and statement: "
        "every step goes through the real interfaces.",
    ),
    "story_passed": Words(zh="全部通过", en="All steps passed"),
    "story_failed": Words(zh="没有走完", en="Did not reach its end"),
    "story_failed_more": Words(
        zh="没有演完；下面是已完成的步骤。", en="It ended early; the steps below were done."
    ),
    "story_running": Words(zh="正在进行", en="Running now"),
    "story_running_more": Words(zh="本页会自动更新。", en="This page keeps itself up to date."),
    "story_stopped": Words(zh="中途停止", en="Broken off"),
    "story_stopped_more": Words(zh="故事开始后没有结束。", en="It began and never ended."),
    "story_missing": Words(zh="还没有演过", en="Not played yet"),
    "story_missing_more": Words(
        zh="首次运行 make run 时会自动演给本页看；make story 另起临时实例演一遍，结果在终端里。",
        en="The first make run plays it for this page; "
        "make story plays it on a temporary instance, for the terminal.",
    ),
    "story_damaged": Words(zh="结果无法读取", en="The result cannot be read"),
    "story_damaged_more": Words(
        zh="故事的结果文件已损坏。", en="The file with the story's result is damaged."
    ),
    "story_again": Words(
        zh="要在这里演，请在项目目录中运行：", en="To play it here, run in the project folder:"
    ),
    "story_sum": Words(zh="{steps} 步，共 {time}", en="{steps} steps, {time} in all"),
    "story_began": Words(zh="开始于 {moment}", en="Began {moment}"),
    "reader_pcsc": Words(
        zh="刷卡经真实的 PC/SC 读卡器通道。", en="The taps went through a real PC/SC stack."
    ),
    "reader_loopback": Words(
        zh="本机没有 PC/SC，刷卡经回环读卡器。",
        en="No PC/SC on this machine: the taps went over the loopback reader.",
    ),
    # ledger
    "ledger_title": Words(zh="账本自证", en="The ledger's proof"),
    "ledger_what": Words(
        zh="每一笔钱都记两边。此刻把全部账户加起来：",
        en="Every movement is written on two sides. All accounts added up, at this moment:",
    ),
    "ledger_balanced": Words(
        zh="借贷相等，合计为零。", en="Debits equal credits: the sum is zero."
    ),
    "ledger_unbalanced": Words(
        zh="借贷不相等！请立即通知运营人员。",
        en="Debits and credits differ! Tell the operator now.",
    ),
    "custody_equal": Words(
        zh="备付金与应付客户的钱相等，银行余额相符。",
        en="Custody equals what is owed to customers, and the bank says the same.",
    ),
    "custody_waiting": Words(
        zh="银行已收 {amount}，待与银行账单核对入账；连同在途，与应付相等。",
        en="{amount} received by the bank waits to be matched with its statement; "
        "with it, custody equals what is owed.",
    ),
    "custody_differs": Words(
        zh="备付金与应付不符！请立即通知运营人员。",
        en="Custody and what is owed differ! Tell the operator now.",
    ),
    "ledger_unread": Words(
        zh="此刻读不到账本，请稍后再看。", en="The ledger cannot be read now; look again later."
    ),
    "debits": Words(zh="借方合计", en="Debits"),
    "credits": Words(zh="贷方合计", en="Credits"),
    "sum": Words(zh="借贷差额", en="Difference"),
    "custody": Words(zh="备付金（账上）", en="Custody, in the books"),
    "receivable": Words(zh="在途，待核对", en="On its way, to be matched"),
    "owed": Words(zh="应付市民与商户", en="Owed to citizens and merchants"),
    "bank_reported": Words(zh="银行报告的余额", en="Balance the bank reports"),
    # what runs here
    "runs_title": Words(zh="这里运行着什么", en="What runs here"),
    "networks": Words(zh="两网", en="Two networks"),
    "public_network": Words(zh="公共服务网", en="Public network"),
    "public_network_who": Words(
        zh="市民、商户、终端与合作伙伴", en="Citizens, merchants, terminals and partners"
    ),
    "internal_network": Words(zh="内部业务网", en="Internal network"),
    "internal_network_who": Words(zh="工作人员与部门", en="Staff and departments"),
    "you_are_here": Words(zh="您在这里", en="You are here"),
    "databases": Words(zh="三库", en="Three databases"),
    "db_identity": Words(zh="基础信息资源库", en="Identity"),
    "db_business": Words(zh="业务信息资源库", en="Business"),
    "db_ledger": Words(zh="账务数据库", en="Ledger"),
    "ready": Words(zh="正常", en="Ready"),
    "not_ready": Words(zh="无法连接", en="Does not answer"),
    "worker": Words(zh="后台投递", en="Background worker"),
    "events": Words(zh="待人工处理的事件", en="Events waiting for a person"),
    "parked_none": Words(zh="没有", en="None"),
    "parked_some": Words(zh="{count} 件", en="{count}"),
    "parked_unread": Words(zh="此刻读不到", en="Cannot be read now"),
    # the city
    "phones_title": Words(zh="服务电话", en="Phone lines"),
    "loss_reports": Words(zh="可挂失", en="takes loss reports"),
    "products_title": Words(zh="卡种", en="Cards"),
    "carrier_plastic": Words(zh="实体卡", en="plastic"),
    "carrier_phone": Words(zh="手机", en="on the phone"),
    "real_name": Words(zh="实名", en="real name"),
    "bearer": Words(zh="不要求实名", en="no name needed"),
    "one_per_person": Words(zh="每人一张", en="one per person"),
    "many_per_person": Words(zh="可办多张", en="as many as needed"),
    "local_only": Words(zh="本地户籍或参保", en="local residents or insured"),
    "everyone": Words(zh="人人可办", en="for everyone"),
    "limits_title": Words(zh="限额与依据", en="Limits and their basis"),
    "limit_registered_balance": Words(zh="记名账户余额上限", en="Registered, at most"),
    "limit_unregistered_balance": Words(zh="不记名卡余额上限", en="Unregistered, at most"),
    "limit_class_1_ever": Words(zh="Ⅰ类账户累计付款", en="Class 1 account, payments in all"),
    "limit_class_2_year": Words(zh="Ⅱ类账户年度付款", en="Class 2 account, payments a year"),
    "limit_class_3_year": Words(zh="Ⅲ类账户年度付款", en="Class 3 account, payments a year"),
    "limit_code_b_day": Words(zh="扫码支付B级，每日", en="Code payments, level B, a day"),
    "limit_code_c_day": Words(zh="扫码支付C级，每日", en="Code payments, level C, a day"),
    "limit_code_d_day": Words(zh="静态码支付，每日", en="Static codes, a day"),
    "limit_cash_top_up_day": Words(
        zh="自助终端和代理点现金充值，每日", en="Cash at machines and agents, a day"
    ),
    "limit_cash_person_sale": Words(zh="个人现金，单次", en="Cash from a person, at one time"),
    "limit_cash_company_sale": Words(zh="单位现金，单次", en="Cash from a company, at one time"),
    "limit_ride_debt_balance": Words(zh="乘车欠款上限", en="Owed for a ride, at most"),
    "limit_times": Words(zh="{times} 次", en="{times} times"),
    "limit_ended": Words(zh="已取消", en="no longer"),
    "limit_since": Words(zh="{day} 起施行", en="since {day}"),
    "limit_topup_least": Words(zh="单笔充值下限", en="Top-up, at least"),
    "limit_topup_most": Words(zh="单笔充值上限", en="Top-up, at most"),
    "limit_payment": Words(zh="单笔支付上限", en="Payment, at most"),
    "set_by_city": Words(zh="由本市设定", en="set by the city"),
    # demo
    "demo_title": Words(zh="试一试", en="Try it"),
    "demo_citizen": Words(
        zh="演示市民登录：向接口请求验证码，短信不会真的发出，内容保存在短信沙箱。",
        en="Demo citizen: ask the interface for a one-time code. No SMS is really sent; "
        "its text is kept in the SMS sandbox.",
    ),
    "demo_sms": Words(
        zh="短信沙箱由工作人员登录内部业务网后，经接口查看。",
        en="Staff read the SMS sandbox through the interface of the internal network.",
    ),
    "demo_staff": Words(
        zh="演示账号与密码在运行 make run 的终端里。",
        en="Demo logins are printed in the terminal where make run was started.",
    ),
    # links
    "links_title": Words(zh="开发与运维", en="For developers and operators"),
    "api_public": Words(zh="公共服务网接口文档", en="Interface of the public network"),
    "api_internal": Words(zh="内部业务网接口文档", en="Interface of the internal network"),
    "openapi": Words(zh="OpenAPI 文件", en="OpenAPI file"),
    "errors": Words(zh="错误码", en="Error codes"),
    "health": Words(zh="存活检查", en="Liveness"),
    "readiness": Words(zh="就绪检查", en="Readiness"),
    "metrics": Words(zh="运行指标", en="Metrics"),
    # internal page
    "internal_title": Words(zh="内部业务网", en="The internal network"),
    "internal_what": Words(
        zh="供部门与工作人员使用：商户与终端管理、账本自证、备付金核对、短信沙箱。",
        en="For departments and staff: merchants and terminals, the ledger's proof, matching of "
        "custody, the SMS sandbox.",
    ),
    "internal_login_title": Words(zh="登录", en="Logging in"),
    "internal_login": Words(
        zh="目前经接口登录：用户名、密码与动态口令。接口文档写明了每一步。",
        en="By the interface for now: username, password and TOTP. Its document shows each step.",
    ),
    "internal_apart": Words(
        zh="与公共服务网不共用任何业务地址。",
        en="It shares no route with the public network's business.",
    ),
    "to_public": Words(zh="公共服务网首页", en="Page of the public network"),
}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says everything in one language, "zh" or "en"."""

    language: str

    def text(self, name: str, **data: object) -> str:
        """The text called `name`, filled with `data`. KeyError: no such text."""
        return TEXTS[name].text(self.language, **data)

    def text_or_code(self, prefix: str, code: str) -> str:
        """The text for a code a city chose; the code itself where we have no text for it."""
        known = TEXTS.get(prefix + code)
        return known.text(self.language) if known else code

    def say(self, words: Mapping[str, str]) -> str:
        """One of the city's own texts, `{zh = …, en = …}`."""
        return words[self.language]

    def yuan(self, amount_fen: int) -> str:
        """`-123450` as `-1,234.50 元` or `-1,234.50 yuan`."""
        whole, _, fen = yuan_text(abs(amount_fen)).partition(".")
        sign = "-" if amount_fen < 0 else ""
        unit = "yuan" if self.language == "en" else "元"
        return f"{sign}{int(whole):,}.{fen} {unit}"

    def took(self, milliseconds: float) -> str:
        """`4.26` as `4.3 ms`, `1250` as `1,250 ms`, from ten seconds on `12.5 s`."""
        if milliseconds >= 10_000:
            return f"{milliseconds / 1000:,.1f} {'s' if self.language == 'en' else '秒'}"
        unit = "ms" if self.language == "en" else "毫秒"
        return f"{milliseconds:.1f} {unit}" if milliseconds < 10 else f"{milliseconds:,.0f} {unit}"

    def moment(self, moment: datetime) -> str:
        """A moment on the city's clocks: `2026-11-23 10:00`."""
        return moment.astimezone(BUSINESS_ZONE).strftime("%Y-%m-%d %H:%M")
