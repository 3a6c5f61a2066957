"""Whole taps byte for byte, and every refusal of the mobile card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import (
    Certificate,
    GpoResponse,
    HolderCheck,
    Suite,
    TransactionType,
)
from hce.errors import CardSuspended
from hce.ports import CardView, LimitedUseKey
from hce.store import MemoryCardStore
from tests.hce.examples import (
    CERTIFICATE,
    KEY,
    NOW,
    READ_CERTIFICATE,
    SELECT_CARD,
    SELECT_DIRECTORY,
    SIGNER,
    SM_SIGNER,
    SM_STATE,
    STATE,
    STATES,
    TRANSACTION,
    Bench,
    bench,
    gpo,
    is_genuine,
)

FCI = (
    "6F3C840AF0434954594341524401A52E50094349545920434152449F38169F02065F2A029A039F21039C01"
    "9F37049F1C089F160FBF0C079F5A0401560001"
)
PDOL_DATA = TRANSACTION.encode().hex()
# 9F26 as `openssl mac -cipher AES-128-CBC … CMAC` gives it over the 53 bytes of design A.2.
GPO_UP_TO_SIGNATURE = (
    "777B820220009404080101015A0A6210000000000000017F5F3401009F360201029F2701809F1007"
    "010200000007029F26085A23BB611D8C751C9F4B40"
)
RECORD = (
    "7081AFDF0001015A0A6210000000000000017FDF0121023B8DB9F1B0879839371A1F6C0347C09368214B5A7BCE"
    "8A95AF7C342AC3406891DF020A70686F6E655F63617264DF030103DF04046553F100DF05046B49D200DF060400"
    "001388DF070400004E20DF080400010001DF090101DF0A40000102030405060708090A0B0C0D0E0F1011121314"
    "15161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F"
)


def test_a_whole_tap_byte_for_byte() -> None:
    card = Bench()
    assert card.send("00A404000E325041592E5359532E444446303100") == (
        "6F31840E325041592E5359532E4444463031A51FBF0C1C611A4F0AF0434954594341524401"
        "50094349545920434152448701019000"
    )
    assert card.send("00A404000AF043495459434152440100") == FCI + "9000"
    answer = card.send(
        "80A800002C832A 000000001250 0156 251123 113600 00 01020304"
        "5430303030303031 4D3030303030303030303030303031 00"
    )
    assert answer[: len(GPO_UP_TO_SIGNATURE)] == GPO_UP_TO_SIGNATURE
    assert len(answer) == len(GPO_UP_TO_SIGNATURE) + 2 * (64 + 2)  # ECDSA is random: verified
    assert answer.endswith("9000")
    assert is_genuine(GpoResponse.decode(bytes.fromhex(answer[:-4])))
    assert card.send("00B2010C00") == RECORD + "9000"


def test_the_record_is_the_certificate() -> None:
    assert Certificate.decode(bytes.fromhex(RECORD)) == CERTIFICATE


def test_reading_before_or_without_gpo_costs_no_counter() -> None:
    card = Bench()
    for _ in range(3):
        card.send(SELECT_CARD)
        assert card.send(READ_CERTIFICATE) == RECORD + "9000"
    assert card.tap().atc == STATE.atc + 1


def test_each_tap_takes_the_next_counter_and_one_use() -> None:
    card = Bench()
    answers = [card.tap() for _ in range(3)]
    assert [answer.atc for answer in answers] == [258, 259, 260]
    assert all(is_genuine(answer) for answer in answers)
    assert len({answer.cryptogram for answer in answers}) == 3
    key = card.store.view().key
    assert key is not None
    assert key.uses_left == KEY.uses_left - 3


SUITES = pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)


@SUITES
@pytest.mark.parametrize("check", list(HolderCheck))
def test_the_holder_check_is_told_and_signed(check: HolderCheck, suite: Suite) -> None:
    card = bench(suite)
    card.holder_check = check
    answer = card.tap()
    assert answer.iad.suite is suite
    assert answer.iad.holder_check is check
    assert is_genuine(answer)


@SUITES
@pytest.mark.parametrize("kind", list(TransactionType))
def test_every_transaction_type_gets_its_own_cryptogram(
    kind: TransactionType, suite: Suite
) -> None:
    transaction = replace(TRANSACTION, transaction_type=kind, amount_fen=0)
    assert is_genuine(bench(suite).tap(transaction), transaction)


def test_a_second_gpo_in_the_same_selection_is_refused_and_a_new_selection_answers() -> None:
    card = Bench()
    card.tap()
    assert card.send(gpo()) == "6985"
    assert card.send(READ_CERTIFICATE) == RECORD + "9000"
    assert card.send(gpo()) == "6985"
    assert card.tap().atc == STATE.atc + 2


@pytest.mark.parametrize("form", ["80A800002C832A{}00", "80A800002C832A{}", "80A800002C832A{}7D"])
def test_gpo_with_le_without_le_and_with_the_exact_le(form: str) -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send(form.format(PDOL_DATA)).startswith(GPO_UP_TO_SIGNATURE)


REFUSED_GPO = {
    "P1 is not 00": (f"80A801002C832A{PDOL_DATA}00", "6A86"),
    "P2 is not 00": (f"80A800012C832A{PDOL_DATA}00", "6A86"),
    "no data": ("80A8000000", "6700"),
    "no data, no Le": ("80A80000", "6700"),
    "empty template": ("80A8000002830000", "6700"),
    "41 bytes": (f"80A800002B8329{PDOL_DATA[:-2]}00", "6700"),
    "43 bytes": (f"80A800002D832B{PDOL_DATA}0000", "6700"),
    "no template": (f"80A800002A{PDOL_DATA}00", "6A80"),
    "another template": (f"80A800002C852A{PDOL_DATA}00", "6A80"),
    "length of the template too long": (f"80A800002C832B{PDOL_DATA}00", "6A80"),
    "length of the template too short": (f"80A800002C8329{PDOL_DATA}00", "6A80"),
    "something after the template": (f"80A800002E832A{PDOL_DATA}810000", "6A80"),
    "date before the currency": (
        f"80A800002C832A{PDOL_DATA[:12]}251123{PDOL_DATA[12:16]}{PDOL_DATA[22:]}00",
        "6A80",
    ),
    "time before the date": (
        f"80A800002C832A{PDOL_DATA[:16]}{PDOL_DATA[22:28]}251123{PDOL_DATA[28:]}00",
        "6A80",
    ),
    "merchant before the terminal, one byte short": (
        f"80A800002B8329{PDOL_DATA[:38]}{PDOL_DATA[54:]}{PDOL_DATA[38:52]}00",
        "6700",
    ),
    "amount not decimal": (f"80A800002C832A00000000125A{PDOL_DATA[12:]}00", "6A80"),
    "another currency": (f"80A800002C832A{PDOL_DATA[:12]}0840{PDOL_DATA[16:]}00", "6A80"),
    "month 13": (f"80A800002C832A{PDOL_DATA[:16]}251323{PDOL_DATA[22:]}00", "6A80"),
    "hour 24": (f"80A800002C832A{PDOL_DATA[:22]}240000{PDOL_DATA[28:]}00", "6A80"),
    "unknown type": (f"80A800002C832A{PDOL_DATA[:28]}01{PDOL_DATA[30:]}00", "6A80"),
    "terminal number not text": (f"80A800002C832A{PDOL_DATA[:38]}FF{PDOL_DATA[40:]}00", "6A80"),
    "Lc longer than the body": (f"80A800002D832A{PDOL_DATA}", "6700"),
    "proprietary class left out": (f"00A800002C832A{PDOL_DATA}00", "6D00"),
    "another class": (f"84A800002C832A{PDOL_DATA}00", "6E00"),
}


@pytest.mark.parametrize(("command", "sw"), REFUSED_GPO.values(), ids=REFUSED_GPO)
def test_a_refused_gpo_costs_nothing_and_the_next_one_answers(command: str, sw: str) -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send(command) == sw
    assert card.send(gpo()).startswith(GPO_UP_TO_SIGNATURE)  # ATC 258, as if nothing had been


UNUSABLE = {
    "suspended": {"is_suspended": True},
    "no key": {"key": None},
    "no use left": {"key": replace(KEY, uses_left=0)},
    "key expired": {"key": replace(KEY, not_after=NOW - 1)},
    "counter at its end": {"atc": 0xFFFF},
}


@pytest.mark.parametrize("changes", UNUSABLE.values(), ids=UNUSABLE)
def test_a_card_that_may_not_pay_answers_6985_and_counts_nothing(
    changes: dict[str, object],
) -> None:
    card = bench(**changes)
    before = card.store.view()
    blocked = bool(changes.get("is_suspended"))
    assert card.send(SELECT_CARD) == FCI + ("6283" if blocked else "9000")
    assert card.send(gpo()) == "6985"
    assert card.store.view() == before
    assert card.send(READ_CERTIFICATE) == RECORD + "9000"


def test_the_last_use_the_last_second_and_the_last_counter_still_pay() -> None:
    card = bench(key=replace(KEY, uses_left=1, not_after=NOW), atc=0xFFFE)
    assert card.tap().atc == 0xFFFF
    card.send(SELECT_CARD)
    assert card.send(gpo()) == "6985"


def test_time_passes_over_a_key() -> None:
    card = Bench()
    card.clock.seconds = KEY.not_after + 1
    card.send(SELECT_CARD)
    assert card.send(gpo()) == "6985"
    assert card.send(gpo()) == "6985"
    card.clock.seconds = KEY.not_after
    assert card.send(gpo()).startswith(GPO_UP_TO_SIGNATURE)


def test_a_suspended_card_pays_again_once_released() -> None:
    card = Bench()
    store = card.store
    assert isinstance(store, MemoryCardStore)
    store.change(lambda state: state.with_suspended(True))
    assert card.send(SELECT_CARD).endswith("6283")
    store.change(lambda state: state.with_suspended(False))
    assert card.tap().atc == STATE.atc + 1


def test_a_device_that_cannot_sign_in_its_cards_suite_is_a_fault_before_anything_is_counted() -> (
    None
):
    for suite, signer in ((Suite.SM4_SM2, SIGNER), (Suite.AES_ES256, SM_SIGNER)):
        card = Bench(MemoryCardStore(STATES[suite]), signer=signer)
        card.send(SELECT_CARD)
        assert card.send(gpo()) == "6F00"
        assert card.store.view() == STATES[suite].view()


def test_a_card_has_one_suite() -> None:
    for suite, other in ((Suite.SM4_SM2, STATE), (Suite.AES_ES256, SM_STATE)):
        with pytest.raises(MalformedBytes, match="another suite"):
            replace(STATES[suite], key=other.key)
        fresh = replace(STATES[suite], key=None)
        assert other.key is not None
        with pytest.raises(MalformedBytes, match="another suite"):
            fresh.with_key(other.key)


class GoneStore:
    """A device on which another card took this one's place."""

    def view(self) -> CardView:
        raise CardSuspended

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        raise CardSuspended


def test_a_card_the_device_holds_no_more_is_refused_and_not_selected() -> None:
    card = Bench(GoneStore())
    assert card.send(SELECT_CARD) == "6985"
    assert card.send(gpo()) == "6985"
    assert card.send(READ_CERTIFICATE) == "6A83"
    assert card.send(SELECT_DIRECTORY).endswith("9000")


def test_a_card_taken_away_after_selection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Bench()
    card.send(SELECT_CARD)
    monkeypatch.setattr(card.store, "view", GoneStore().view)
    assert card.send(READ_CERTIFICATE) == "6985"
    assert card.send(gpo()) == "6985"


RECORDS = {
    "record 2": ("00B2020C00", "6A83"),
    "record 0": ("00B2000C00", "6A83"),
    "SFI 2": ("00B2011400", "6A83"),
    "no SFI": ("00B2010400", "6A83"),
    "all records from 1": ("00B2010D00", "6A86"),
    "with data": ("00B2010C01AA00", "6700"),
    "proprietary class": ("80B2010C00", "6D00"),
    "Le too short": ("00B2010C10", "6CB2"),
    "the Le told": ("00B2010CB2", RECORD + "9000"),
    "Le longer than the record": ("00B2010CB3", RECORD + "9000"),
    "no Le": ("00B2010C", RECORD + "9000"),
    "extended Le": ("00B2010C000000", RECORD + "9000"),
}


@pytest.mark.parametrize(("command", "answer"), RECORDS.values(), ids=RECORDS)
def test_read_record(command: str, answer: str) -> None:
    card = Bench()
    card.send(SELECT_CARD)
    assert card.send(command) == answer
