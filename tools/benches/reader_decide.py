"""Offline decisions with a deny list of a million; no reader and no disk but the list's file."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from card_protocol.deny_list import DenyKind, DenyList
from card_protocol.mobile_card import GpoResponse, HolderCheck, TransactionData, TransactionType
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.card_file import CardRecord
from hce.signer import SoftwareSigner
from hce.store import MemoryCardStore
from reader_bridge.exchange import Exchange
from reader_bridge.journal import Usage
from reader_bridge.kernels import mobile_card
from reader_bridge.kernels.selection import AcceptedApplication
from reader_bridge.offline import Accept, GenuineCertificates, MobileCardFacts, Refuse, decide
from reader_bridge.profile import SignedProfile
from reader_bridge.readers.loopback import LoopbackReader
from tools.benches.errors import BenchFailed
from tools.benches.reader_process import make_record
from tools.benches.reader_world import (
    FARE_FEN,
    MERCHANT_NUMBER,
    TERMINAL_NUMBER,
    make_profile,
)
from tools.benches.rounds import Round, ranked

CARDS: Final = 100
LOOK_UPS: Final = 1_000  # in a pass, half of them of numbers on the list
NEW, KNOWN = "decision, card new", "decision, card known"
LOOK_UP = "deny list look-up"
NO_USAGE: Final = Usage()
_SEED: Final = 6


@dataclass(frozen=True, slots=True)
class Case:
    """A tap that was made, and what this terminal believes of its issuer."""

    facts: MobileCardFacts
    profile: SignedProfile


@dataclass(frozen=True, slots=True)
class TimedPasses:
    """A subject that goes over its cases again and again, each timed by itself.

    `begin` makes the check of a pass: from a case to whether it was right.
    """

    name: str
    cases: Sequence[object]
    begin: Callable[[], Callable[..., bool]]
    clock_ns: Callable[[], int] = time.perf_counter_ns

    def run(self, seconds: float) -> Round:
        spent_ns, right, ends_ns = list[int](), 0, self.clock_ns() + int(seconds * 1e9)
        while not spent_ns or self.clock_ns() < ends_ns:
            check = self.begin()
            for case in self.cases:
                began_ns = self.clock_ns()
                is_right = check(case)
                spent_ns.append(self.clock_ns() - began_ns)
                right += is_right
        spent_seconds = max(sum(spent_ns), 1) / 1e9
        return Round(len(spent_ns), right, spent_seconds, times=ranked(spent_ns))


def decision_subjects(
    deny_list: DenyList, now: int, cards: int = CARDS
) -> tuple[TimedPasses, TimedPasses, TimedPasses]:
    """The bare look-up, decisions about known cards, and about cards never seen before."""
    cases = [_case(now) for _ in range(cards)]
    _require_denied(cases[0], deny_list, now)

    def begin_new() -> Callable[[Case], bool]:
        is_genuine = GenuineCertificates()

        def check(case: Case) -> bool:
            answer = decide(
                case.facts, case.profile, deny_list, NO_USAGE, now, is_genuine=is_genuine
            )
            return answer == Accept()

        return check

    known = begin_new()
    if not all(known(case) for case in cases):
        raise BenchFailed("a good card was refused")
    numbers = _numbers(deny_list)

    def look_up(asked: tuple[str, bool]) -> bool:
        digits, is_listed = asked
        return deny_list.is_denied(DenyKind.TOKEN, digits) is is_listed

    return (
        TimedPasses(LOOK_UP, numbers, lambda: look_up),
        TimedPasses(KNOWN, cases, lambda: known),
        TimedPasses(NEW, cases, begin_new),
    )


def _case(now: int) -> Case:
    record = make_record(now)
    assert record.issuer_public_key is not None
    channel = LoopbackReader(_card(record, now).transmit).wait_for_card(0)
    assert channel is not None
    transaction = TransactionData(
        amount_fen=FARE_FEN,
        date=bytes.fromhex("251123"),
        time=bytes.fromhex("080000"),
        transaction_type=TransactionType.PURCHASE,
        unpredictable_number=bytes(4),
        terminal_number=TERMINAL_NUMBER,
        merchant_number=MERCHANT_NUMBER,
    )
    profile = make_profile(now, record.issuer_public_key)
    accepted: tuple[AcceptedApplication, ...] = profile.facts.applications
    proof = mobile_card.tap(Exchange(channel), transaction, accepted, {})
    response = GpoResponse.decode(proof.gpo_response)
    return Case(MobileCardFacts(FARE_FEN, proof.certificate, proof.pdol_data, response), profile)


def _card(record: CardRecord, now: int) -> Card:
    assert record.signing_key is not None
    applet = MobileCardApplet(
        MemoryCardStore(record.state),
        SoftwareSigner.from_der(record.signing_key),
        holder_check=lambda: HolderCheck.NONE,
        now=lambda: now,
    )
    card = Card([applet])
    card.power_on()
    return card


def _require_denied(case: Case, deny_list: DenyList, now: int) -> None:
    """The decision does look at the list. Raises BenchFailed."""
    listed = array("Q", [int(case.facts.certificate.token_number)])
    answer = decide(case.facts, case.profile, replace(deny_list, tokens=listed), NO_USAGE, now)
    if answer != Refuse("card_denied"):
        raise BenchFailed(f"a denied card was not refused: {answer}")


def _numbers(deny_list: DenyList) -> list[tuple[str, bool]]:
    """Numbers all over the list, in no order: those on it, and their neighbours that are not."""
    dice, tokens = random.Random(_SEED), deny_list.tokens  # noqa: S311 - numbers of nobody
    listed = [tokens[dice.randrange(len(tokens))] for _ in range(LOOK_UPS // 2)]
    others = [one + 1 for one in listed if not deny_list.is_denied(DenyKind.TOKEN, str(one + 1))]
    asked = [(str(one), True) for one in listed] + [(str(one), False) for one in others]
    dice.shuffle(asked)
    return asked
