"""Every proof that must not pay: its own code, and not a row changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.db import Units
from backend.kernel import DomainError, ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.merchants import TerminalFacts
from backend.payments.model import PayCodeShown, Tap
from backend.virtual_card import ATC_WINDOW, ChangeCard, EndDevice, RefillKeys
from backend.wallet.ledger import AccountState
from card_protocol.mobile_card import (
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    Suite,
    TransactionType,
    luhn_check_digit,
)
from tests.simulation.books import USED_UP, dump
from tests.simulation.money_world import Citizen, World, join, operation

FEN = 500


def refused(
    world: World, till: TerminalFacts, proof: Tap | PayCodeShown, *, but: tuple[str, ...] = ()
) -> DomainError:
    """The refusal of a sale with this proof; nothing but the answer (and `but`) was written."""
    before = dump(world.units, but=("answer", *but))
    with pytest.raises(DomainError) as refusal:
        world.sell(till, proof, FEN)
    assert dump(world.units, but=("answer", *but)) == before
    return refusal.value


# --- a genuine tap for something else ---------------------------------------------------------


MISMATCHES: list[tuple[str, dict[str, Any]]] = [
    ("amount_fen", {"amount_fen": FEN + 1}),
    ("amount_fen", {"amount_fen": 0}),
    ("amount_fen", {"amount_fen": 999_999_999_999}),
    ("terminal_number", {"terminal_number": "00000000"}),
    ("merchant_number", {"merchant_number": "0" * 15}),
    ("currency", {"currency": 0x0840}),
    ("transaction_type", {"transaction_type": TransactionType.REFUND}),
    ("transaction_type", {"transaction_type": TransactionType.BALANCE}),
    ("transaction_type", {"transaction_type": TransactionType.IDENTIFY}),
]


def test_a_tap_for_another_sale_is_a_mismatch(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    for field, changes in MISMATCHES:
        tap = citizen.card.tap(till, **{"amount_fen": FEN, **changes})
        refusal = refused(world, till, tap)
        assert (refusal.code, refusal.data) == ("tap_mismatch", {"field": field})


def test_a_tap_at_another_till_does_not_pay_here(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    """Goal: what a card agreed to at one till is worth nothing at a neighbour's or stranger's."""
    tap = citizen.card.tap(till, FEN)
    neighbour = world.terminal(till.shop_id)
    stranger = world.terminal(world.shop(world.merchant("城西超市")))
    for elsewhere in (neighbour, stranger):
        assert refused(world, elsewhere, tap).code == "tap_mismatch"


# --- a tap that is not genuine, or too late ---------------------------------------------------


def _answer(tap: Tap, **changes: Any) -> Tap:
    return replace(
        tap, gpo_response=replace(GpoResponse.decode(tap.gpo_response), **changes).encode()
    )


def _flip(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _iad(**changes: Any) -> IssuerApplicationData:
    return replace(IssuerApplicationData(Suite.AES_ES256, 1, 1, HolderCheck.NONE), **changes)


def _other_token(number: str) -> str:
    body = f"{number[:6]}{(int(number[6:18]) + 1) % 10**12:012d}"
    return body + luhn_check_digit(body)


SPOILT: dict[str, tuple[str, Callable[[Tap], Tap]]] = {
    "cryptogram": (
        "cryptogram_invalid",
        lambda tap: _answer(tap, cryptogram=_flip(GpoResponse.decode(tap.gpo_response).cryptogram)),
    ),
    "signature": (
        "signature_invalid",
        lambda tap: _answer(tap, signature=_flip(GpoResponse.decode(tap.gpo_response).signature)),
    ),
    "zero signature": ("signature_invalid", lambda tap: _answer(tap, signature=bytes(64))),
    "counter": ("cryptogram_invalid", lambda tap: _answer(tap, atc=2)),
    "holder check": ("cryptogram_invalid", lambda tap: _answer(tap, iad=_iad())),
    "key index": ("key_unknown", lambda tap: _answer(tap, iad=_iad(key_index=2))),
    "huge key index": ("key_unknown", lambda tap: _answer(tap, iad=_iad(key_index=2**32 - 1))),
    "key index zero": ("key_unknown", lambda tap: _answer(tap, iad=_iad(key_index=0))),
    "key version": ("key_unknown", lambda tap: _answer(tap, iad=_iad(key_version=2))),
    "suite": ("suite_not_supported", lambda tap: _answer(tap, iad=_iad(suite=Suite.SM4_SM2))),
    "token": (
        "token_unknown",
        lambda tap: _answer(
            tap, token_number=_other_token(GpoResponse.decode(tap.gpo_response).token_number)
        ),
    ),
    "declined by the card": ("tap_malformed", lambda tap: _answer(tap, cryptogram_information=0)),
    "amount told to the card": (
        "cryptogram_invalid",
        lambda tap: replace(tap, pdol_data=_flip(tap.pdol_data, 5)),
    ),
    "short question": ("tap_malformed", lambda tap: replace(tap, pdol_data=tap.pdol_data[:-1])),
    "short answer": ("tap_malformed", lambda tap: replace(tap, gpo_response=tap.gpo_response[:-1])),
    "no bytes": ("tap_malformed", lambda _: Tap(b"", b"")),
    "noise": ("tap_malformed", lambda _: Tap(b"\xff" * 42, b"\x77\x81\xff" + b"\xff" * 255)),
}


def test_a_spoilt_tap_has_its_own_code(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    tap = citizen.card.tap(till, FEN)
    for name, (code, spoil) in SPOILT.items():
        assert refused(world, till, spoil(tap)).code == code, name
    world.sell(till, tap, FEN)  # the unspoilt tap is good


def test_a_tap_signed_by_another_device_does_not_pay(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    thief = world.citizen()
    citizen.card.device_key = thief.card.device_key
    assert refused(world, till, citizen.card.tap(till, FEN)).code == "signature_invalid"


def test_a_counter_is_seen_once(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    tap = citizen.card.tap(till, FEN)
    world.sell(till, tap, FEN)
    assert refused(world, till, tap).code == "atc_seen"
    fresh = citizen.card.tap(till, FEN, atc=1)  # a clone: the same counter, a fresh cryptogram
    assert refused(world, till, fresh).code == "atc_seen"


def test_counters_may_arrive_out_of_order_but_not_from_far_away(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    def tap(atc: int) -> Tap:
        return citizen.card.tap(till, FEN, atc=atc)

    assert refused(world, till, tap(ATC_WINDOW + 1)).code == "atc_out_of_window"
    assert refused(world, till, tap(0)).code == "atc_out_of_window"
    for atc in (ATC_WINDOW, 5, 2 * ATC_WINDOW):
        world.sell(till, tap(atc), FEN)
    assert refused(world, till, tap(ATC_WINDOW - 1)).code == "atc_out_of_window"
    assert refused(world, till, tap(3 * ATC_WINDOW + 1)).code == "atc_out_of_window"


def test_a_key_is_good_for_its_uses(
    units: Units, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path
) -> None:
    world = join(units, keys, clock, tmp_path, uses_max=3)
    till = world.terminal(world.shop(world.merchant()))
    citizen = world.citizen(10_000)
    world.sell(till, citizen.card.pay_code(clock.now()), FEN)  # codes do not use up taps
    for _ in range(3):
        world.tap_sale(till, citizen, FEN)
    refusal = refused(world, till, citizen.card.tap(till, FEN))
    assert (refusal.code, refusal.data) == ("key_exhausted", {"uses_max": 3})
    citizen.card.take(
        world.cards.refill(
            RefillKeys(citizen.person_id, citizen.card.card.token_id, citizen.card.atc), operation()
        )
    )
    world.tap_sale(till, citizen, FEN)


def test_a_key_ends_with_its_hours(world: World, till: TerminalFacts, citizen: Citizen) -> None:
    tap = citizen.card.tap(till, FEN)
    world.clock.advance(timedelta(hours=120) - timedelta(seconds=1))
    world.sell(till, tap, FEN)
    late = citizen.card.tap(till, FEN)
    world.clock.advance(timedelta(seconds=1))
    assert refused(world, till, late).code == "key_expired"


def test_a_lost_phone_does_not_pay_until_it_is_found(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    change = ChangeCard(citizen.person_id, citizen.card.card.token_id)
    tap, shown = citizen.card.tap(till, FEN), citizen.card.pay_code(world.clock.now())
    world.cards.report_loss(change, operation())
    for proof in (tap, shown):
        assert refused(world, till, proof).code == "token_suspended"
    world.cards.release(change, operation())
    world.sell(till, tap, FEN)
    world.devices.end(EndDevice(citizen.person_id, citizen.card.card.device_id), operation())
    assert refused(world, till, shown).code == "token_deleted"


@pytest.mark.parametrize(
    ("state", "code"),
    [(AccountState.FROZEN, "wallet_frozen"), (AccountState.CLOSED, "wallet_closed")],
)
def test_a_wallet_that_may_not_pay(
    world: World, till: TerminalFacts, citizen: Citizen, state: AccountState, code: str
) -> None:
    """A proof that was shown is used, whatever the wallet said: nobody tries it again later."""
    world.tap_sale(till, citizen, FEN)
    world.set_state(citizen.wallet_id, state)
    tap, shown = citizen.card.tap(till, FEN), citizen.card.pay_code(world.clock.now())
    for proof, seen in ((tap, "atc_seen"), (shown, "pay_code_used")):
        assert refused(world, till, proof, but=USED_UP).code == code
        assert refused(world, till, proof).code == seen
    world.set_state(citizen.wallet_id, AccountState.OPEN)
    assert refused(world, till, tap).code == "atc_seen"


# --- pay codes --------------------------------------------------------------------------------


def test_every_wrong_pay_code_has_its_own_code(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    now = world.clock.now()
    shown = citizen.card.pay_code(now)
    other = citizen.card.pay_code(now + timedelta(days=3)).content
    cases = {
        "pay_code_expired": citizen.card.pay_code(now - timedelta(seconds=61)).content,
        "pay_code_not_yet_valid": citizen.card.pay_code(now + timedelta(seconds=61)).content,
        "pay_code_altered": other,
        "pay_code_unknown": _pay_code("00000000" if other[2:10] != "00000000" else "00000001"),
        "pay_code_foreign": "13" + other[2:],
    }
    for code, content in cases.items():
        assert refused(world, till, PayCodeShown(content)).code == code
    wrong_check = shown.content[:-1] + str((int(shown.content[-1]) + 1) % 10)
    full_width = "".join(chr(ord(one) + 0xFEE0) for one in shown.content)
    for content in ("", "96", wrong_check, full_width, shown.content + "0", "9" * 64, "\x00"):
        assert refused(world, till, PayCodeShown(content)).code == "pay_code_malformed", content
    world.sell(till, shown, FEN)
    assert refused(world, till, shown).code == "pay_code_used"
    world.clock.advance(timedelta(seconds=30))
    assert refused(world, till, shown).code == "pay_code_used"
    world.sell(till, citizen.card.pay_code(world.clock.now()), FEN)


def _pay_code(short_number: str) -> str:
    digits = f"96{short_number}12345678"
    return digits + luhn_check_digit(digits)


def test_a_terminal_nobody_knows_does_not_sell(
    world: World, till: TerminalFacts, citizen: Citizen
) -> None:
    stranger = replace(till, terminal_id=new_id("trm"))
    assert refused(world, stranger, citizen.card.tap(till, FEN)).code == "terminal_unknown"
