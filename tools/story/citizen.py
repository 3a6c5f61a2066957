"""The citizen's part of the story: log in, register, wallet, phone, card, top-ups."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Iterator
from datetime import date

import httpx

from sdk_mobile import FileStorage, Refused, Wallet
from tools.story.network import Gate
from tools.story.stage import (
    BANK_CARD,
    Citizen,
    Movement,
    Stage,
    StoryFailed,
    Told,
    require,
    require_equal,
    today,
    yuan,
)

ADULT_YEARS = 18
MESSAGE_SECONDS = 15.0
TOP_UP_SECONDS = 30.0
NOTICE_SECONDS = 15.0
POLL_SECONDS = 0.05
TOP_UP_FEN = 20000
LATE_TOP_UP_FEN = 10001  # ends in 01: the sandbox bank does not answer, and pays later
NOTICES = re.compile(
    r'^http_requests_total\{[^}]*route="/v1/bank/notices",status="2\d\d"\} ([0-9.]+)', re.M
)
_CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")


def log_in(stage: Stage) -> Told:
    """A person who is not registered yet asks for a code and logs in with it."""
    for citizen in _free_first(stage):
        wallet, gate = open_phone(stage, citizen)
        try:
            seen = _messages(stage, citizen)
            wallet.request_login_code(citizen.phone)
        except Refused as refusal:
            if refusal.code != "login_too_often":
                raise
            continue  # somebody plays with this phone at this moment
        code = read_code(stage, citizen, len(seen))
        if wallet.log_in(citizen.phone, code, "手机"):
            continue  # registered in an earlier story
        require(not wallet.person().registered, "a person unknown so far counts as registered")
        stage.citizen, stage.wallet, stage.gate = citizen, wallet, gate
        return Told(
            f"{citizen.phone} 短信验证码登录成功",
            f"{citizen.phone} logged in with the code from the SMS sandbox",
        )
    raise StoryFailed(
        "every grown-up of the demo persons is registered here: "
        "play the story on a fresh instance, or add persons to the demo data"
    )


def register(stage: Stage) -> Told:
    """Name and identity number are matched with the city's base records."""
    stage.wallet.register(stage.citizen.name, stage.citizen.id_number)
    person = stage.wallet.person()
    require(person.registered and person.matched_at is not None, "the person is not matched")
    masked = person.name_masked or "", person.id_number_masked or ""
    require(stage.citizen.id_number not in masked, "the identity number is shown unmasked")
    return Told(f"{masked[0]} {masked[1]} 已与基础库比对", f"{masked[0]} {masked[1]} matched")


def open_wallet(stage: Stage) -> Told:
    account = stage.wallet.open_wallet()
    require_equal("wallet's state", account.state, "open")
    require_equal("account class", account.account_class, "registered")
    require_equal("the same wallet asked again", stage.wallet.open_wallet(), account)
    stage.require_books()
    limit = yuan(account.ceiling_fen)
    return Told(f"记名账户，余额 0，限额 {limit} 元", f"registered, empty, ceiling {limit} yuan")


def enrol_device(stage: Stage) -> Told:
    device = stage.wallet.enrol_device("手机")
    require_equal("device's state", device.state, "active")
    if stage.platform is None:
        return Told(f"{device.device_id}", "signing and sealing keys known to the city")
    require_equal("who vouches for the device's keys", device.attested, "hardware")
    return Told(
        f"{device.device_id} 设备证明有效", "keys known to the city, vouched for by its maker"
    )


def provision_card(stage: Stage) -> Told:
    """Token, certificate and limited-use keys arrive; the backend tells the same card again."""
    card = stage.wallet.provision_card()
    again = stage.wallet.refresh_card()
    require_equal("card's state", again.state, "active")
    require_equal("token number", again.token_number, card.token_number)
    masked = f"{card.token_number[:4]}···{card.token_number[-4:]}"
    return Told(f"{card.label} {masked}", f"{card.label} {masked}, certificate and keys on phone")


def top_up(stage: Stage) -> Told:
    notices = _notices(stage)
    ordered = stage.wallet.top_up(TOP_UP_FEN, BANK_CARD)
    settled = stage.wallet.wait_for_top_up(ordered.topup_id, TOP_UP_SECONDS)
    require_equal("top-up's state", settled.state, "succeeded")
    stage.wallet_lines.append(Movement("top_up", TOP_UP_FEN, ordered.topup_id))
    _await("the bank's notice", lambda: _notices(stage) > notices, NOTICE_SECONDS)
    stage.require_books()
    balance = yuan(stage.balance_fen)
    return Told(f"成功，余额 {balance} 元", f"succeeded, balance {balance} yuan")


def top_up_late(stage: Stage) -> Told:
    """The bank does not answer, pays later, says so itself: the money is there once."""
    notices = _notices(stage)
    ordered = stage.wallet.top_up(LATE_TOP_UP_FEN, BANK_CARD)
    require_equal("top-up's first state", ordered.state, "processing")
    asked = stage.wallet.top_up_status(ordered.topup_id)
    require_equal("top-up's state when asked", asked.state, "processing")
    stage.require_books()  # nothing is credited on a promise
    settled = stage.wallet.wait_for_top_up(ordered.topup_id, TOP_UP_SECONDS)
    require_equal("top-up's last state", settled.state, "succeeded")
    _await("the bank's notice", lambda: _notices(stage) > notices, NOTICE_SECONDS)
    stage.wallet_lines.append(Movement("top_up", LATE_TOP_UP_FEN, ordered.topup_id))
    stage.require_books()
    balance = yuan(stage.balance_fen)
    return Told(
        f"超时后到账，银行通知再到也只记一次，余额 {balance} 元",
        f"processing, then succeeded; the bank's notice too, credited once, {balance} yuan",
    )


def open_phone(stage: Stage, citizen: Citizen) -> tuple[Wallet, Gate]:
    """A phone with storage of its own, closed when the story ends."""
    gate = Gate()
    http = httpx.Client(transport=gate, timeout=10.0)
    storage = FileStorage(stage.folder / f"phone-{citizen.phone}")
    stage.exits.callback(storage.close)
    wallet = Wallet(stage.public, storage, http=http, attester=stage.platform)
    stage.exits.enter_context(wallet)
    return wallet, gate


def read_code(stage: Stage, citizen: Citizen, seen: int) -> str:
    """The six digits of the message that comes after the `seen` ones there are."""
    _await("the SMS", lambda: len(_messages(stage, citizen)) > seen, MESSAGE_SECONDS)
    text = _messages(stage, citizen)[0]["text"]
    found = _CODE.search(text)
    if found is None:
        raise StoryFailed("the SMS holds no code of six digits")
    return found.group()


def demo_citizens(stage: Stage) -> list[Citizen]:
    """The grown-ups of the demo data, in its order."""
    path = stage.city_folder / stage.city["demo_data"]["persons"]
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Citizen(row["name"], row["id_number"], row["phone"]) for row in csv.DictReader(file)
        ]
    now = today()
    return [row for row in rows if _age_years(row.id_number, now) >= ADULT_YEARS]


def _free_first(stage: Stage) -> Iterator[Citizen]:
    """Who never got a message here did never log in; the rest may still be unregistered."""
    used = []
    for citizen in demo_citizens(stage):
        if _messages(stage, citizen):
            used.append(citizen)
        else:
            yield citizen
    yield from used


def _age_years(id_number: str, now: date) -> int:
    """GB 11643: characters 7 to 14 are the day of birth."""
    born = date(int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14]))
    return now.year - born.year - ((now.month, now.day) < (born.month, born.day))


def _messages(stage: Stage, citizen: Citizen) -> list[dict[str, str]]:
    answer = stage.staff.get("/v1/ops/sandbox/messages", phone=citizen.phone)
    messages: list[dict[str, str]] = answer["data"]
    return messages


def _notices(stage: Stage) -> float:
    """How many notices of the bank the server took since it runs."""
    answer = httpx.get(f"{stage.public}/metrics", timeout=10, trust_env=False)
    require(answer.is_success, f"/metrics answers {answer.status_code}")
    return sum(float(count) for count in NOTICES.findall(answer.text))


def _await(what: str, is_there: Callable[[], bool], timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not is_there():
        if time.monotonic() > deadline:
            raise StoryFailed(f"{what} did not come within {timeout_seconds:.0f} s")
        time.sleep(POLL_SECONDS)
