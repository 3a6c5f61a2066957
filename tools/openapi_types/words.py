"""The words of what the web SDK refuses by itself: the backend's, where it has any."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import backend.app  # makes every refusal of the backend known
from backend.kernel.errors import DomainError, Words

HEAD = """// @ts-check
/**
 * Sentences for the codes the SDK throws by itself.
 * Written by `python -m tools.openapi_types`; not by hand.
 */

"""
# Codes that the backend says too: its title stands here as well, so that one thing has one name.
SHARED = (
    "identity_code_malformed",
    "merchant_code_malformed",
    "pay_code_foreign",
    "pay_code_malformed",
)
OWN: Mapping[str, Words] = {
    "answer_malformed": Words(zh="服务器的回答无法识别", en="The answer could not be understood"),
    "card_deleted": Words(zh="此卡已注销", en="This card has ended"),
    "card_pending": Words(zh="此卡尚未在本机确认", en="This card is not confirmed here yet"),
    "card_suspended": Words(zh="此卡已停用", en="This card is suspended"),
    "codes_too_fast": Words(zh="刷新太快，请稍候", en="Too fast: wait a moment"),
    "key_batch_malformed": Words(zh="卡片密钥无法识别", en="The card's keys are not readable"),
    "key_batch_unopened": Words(zh="卡片密钥无法打开", en="The card's keys cannot be opened"),
    "key_malformed": Words(zh="卡片密钥无法识别", en="The card's keys are not readable"),
    "keys_expired": Words(zh="请联网一次以更新密钥", en="Go online once to renew the keys"),
    "keys_unreadable": Words(zh="卡片密钥无法打开", en="The card's keys cannot be opened"),
    "no_answer": Words(zh="尚未收到回答", en="No answer yet"),
    "no_picture_library": Words(zh="本机不能画出二维码", en="No picture can be drawn here"),
    "no_card": Words(zh="请先开通手机卡", en="Put a card on this phone first"),
    "no_device": Words(zh="请先登记本机", en="Enrol this phone first"),
    "no_keys": Words(zh="请联网一次以取得密钥", en="Go online once to fetch the keys"),
    "no_login_code": Words(zh="请先获取验证码", en="Ask for a one-time code first"),
    "no_part": Words(zh="请联网一次以准备此码", en="Go online once to prepare this code"),
    "no_wallet": Words(zh="请先开通钱包", en="Open the wallet first"),
    "offline": Words(zh="网络不可用，未做任何操作", en="No network; nothing was done"),
    "other_person": Words(zh="本机已属于另一手机号", en="This belongs to another phone number"),
    "outcome_unknown": Words(zh="结果未知，请勿重复操作", en="Outcome unknown: do not repeat it"),
    "part_expired": Words(zh="请联网一次以更新此码", en="Go online once to renew this code"),
    "ride_code_malformed": Words(zh="乘车码无法识别", en="Ride code not readable"),
    "signed_out": Words(zh="请重新登录", en="Log in again"),
    "storage_damaged": Words(
        zh="本机数据已损坏，请重新登记，余额不受影响",
        en="Data here is damaged: enrol again; no money is lost",
    ),
    "storage_failed": Words(zh="本机无法保存数据", en="Data cannot be kept here"),
    "suite_not_supported": Words(zh="浏览器不支持此卡", en="A browser cannot carry this card"),
    "token_number_malformed": Words(zh="卡号无法识别", en="Card number not readable"),
    "unexpected": Words(zh="出现意外错误", en="Something unexpected happened"),
}


def module() -> str:
    """The text of `words.js`. Raises KeyError when the backend no longer says a shared code."""
    told = {refusal.code: refusal.title for refusal in _refusals(DomainError)}
    table = dict(OWN) | {code: told[code] for code in SHARED}
    lines = "".join(
        f"  {code}: {{ zh: {_quoted(words.zh)}, en: {_quoted(words.en)} }},\n"
        for code, words in sorted(table.items())
    )
    kind = "/** @type {Readonly<Record<string, Readonly<{zh: string, en: string}>>>} */\n"
    return f"{HEAD}{kind}export const WORDS = Object.freeze({{\n{lines}}});\n"


def _refusals(parent: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in parent.__subclasses__():
        if "code" in vars(child) and hasattr(child, "title"):
            yield child
        yield from _refusals(child)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


assert backend.app  # imported for what it joins
