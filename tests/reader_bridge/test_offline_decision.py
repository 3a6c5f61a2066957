"""Goal: offline, the first reason against a sale is the one that is told, in the order of A.2."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest

from card_protocol.certificate import Certificate, verify_certificate
from card_protocol.deny_list import DenyList
from card_protocol.epurse.files import PublicData
from card_protocol.mobile_card import GpoResponse, Suite, TransactionData, TransactionType, sign
from reader_bridge.exchange import Exchange
from reader_bridge.faults import LANGUAGES, CodeFault
from reader_bridge.journal import Usage
from reader_bridge.kernels import mobile_card
from reader_bridge.offline import (
    Accept,
    GenuineCertificates,
    Level,
    MobileCardFacts,
    PurseFacts,
    Refuse,
    decide,
    require_no_identity_code,
    standing_of,
)
from reader_bridge.readers.loopback import LoopbackReader
from tests.reader_bridge.profile_world import Issuer
from tests.reader_bridge.support import (
    ACCEPTED,
    MERCHANT_NUMBER,
    NOW,
    TERMINAL_NUMBER,
    TOKEN_NUMBER,
    CardKit,
)

SERIAL = "03105170070104791381"
PURSE = PublicData(
    issuer=bytes.fromhex("01011000FFFFFFFF"),
    application_type=2,
    application_version=1,
    serial=bytes.fromhex(SERIAL),
    start=bytes.fromhex("20260921"),
    expiry=bytes.fromhex("20260921"),
)
LIST = DenyList(4, NOW - 60, array("Q", [17]), array("Q", [18]))
FRESH = Usage()


class Till:
    """One terminal's facts, each of which a test may change."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.kit: CardKit = self.issuer.kit
        self.profile = self.issuer.profile()
        self.certificate = self.kit.certificate(
            offline_sale_max_fen=4_000, offline_sum_max_fen=7_000
        )

    def facts(self, amount_fen: int = 1_000, certificate: Certificate | None = None) -> Any:
        """A real tap of a card with this certificate."""
        transaction = TransactionData(
            amount_fen=amount_fen,
            date=bytes.fromhex("260921"),
            time=bytes.fromhex("221320"),
            transaction_type=TransactionType.PURCHASE,
            unpredictable_number=bytes(4),
            terminal_number=TERMINAL_NUMBER,
            merchant_number=MERCHANT_NUMBER,
        )
        shown = certificate or self.certificate
        channel = LoopbackReader(self.kit.card(shown).transmit).wait_for_card(0)
        assert channel is not None
        proof = mobile_card.tap(Exchange(channel), transaction, ACCEPTED, {})
        response = GpoResponse.decode(proof.gpo_response)
        return MobileCardFacts(amount_fen, proof.certificate, proof.pdol_data, response)

    def decide(self, facts: Any = None, **changes: Any) -> Accept | Refuse:
        values = {
            "facts": facts or self.facts(),
            "profile": self.profile,
            "deny_list": LIST,
            "usage": FRESH,
            "now": NOW,
        }
        return decide(**{**values, **changes})


@pytest.fixture(scope="module")
def till() -> Till:
    return Till()


def code_of(answer: Accept | Refuse) -> str:
    if isinstance(answer, Accept):
        return "accept"
    for language in LANGUAGES:
        assert answer.fault().text(language)
    return answer.code


def test_a_good_card_is_taken(till: Till) -> None:
    assert till.decide() == Accept()


CERTIFICATES = [
    ({"issuer_key_index": 2}, "issuer_key_unknown"),
    ({"not_before": NOW + 1}, "certificate_not_yet_valid"),
    ({"not_after": NOW - 1}, "certificate_expired"),
    ({"not_before": NOW, "not_after": NOW}, "accept"),
    ({"offline_sale_max_fen": 0}, "offline_not_allowed"),
    ({"offline_sale_max_fen": 999}, "offline_sale_too_large"),
    ({"offline_sale_max_fen": 1_000}, "accept"),
    ({"offline_sum_max_fen": 999}, "offline_card_sum_reached"),
]


@pytest.mark.parametrize(("changes", "code"), CERTIFICATES)
def test_the_certificate_says_how_far(till: Till, changes: dict[str, int], code: str) -> None:
    limits = {"offline_sale_max_fen": 4_000, "offline_sum_max_fen": 7_000}
    certificate = till.kit.certificate(**{**limits, **changes})
    assert code_of(till.decide(till.facts(certificate=certificate))) == code


def test_only_the_issuer_of_this_suite_vouches(till: Till) -> None:
    forged = replace(till.certificate, signature=bytes(64))
    assert code_of(till.decide(till.facts(certificate=forged))) == "certificate_not_genuine"
    stranger = CardKit(device=till.kit.device).certificate(offline_sale_max_fen=4_000)
    assert code_of(till.decide(till.facts(certificate=stranger))) == "certificate_not_genuine"
    point = till.profile.issuer_keys[Suite.AES_ES256, 1]
    facts = replace(till.profile.facts, issuer_keys={(Suite.SM4_SM2, 1): point})
    of_other_suite = replace(till.profile, facts=facts)
    assert code_of(till.decide(profile=of_other_suite)) == "issuer_key_unknown"


def test_a_denied_card_is_refused_before_its_signature_is_looked_at(till: Till) -> None:
    denied = replace(LIST, tokens=array("Q", [int(TOKEN_NUMBER)]))
    facts = till.facts()
    untrue = replace(facts, pdol_data=bytes(len(facts.pdol_data)))
    answer = till.decide(untrue, deny_list=denied)
    assert (code_of(answer), isinstance(answer, Refuse) and answer.may_ask_online) == (
        "card_denied",
        False,
    )
    assert code_of(till.decide(untrue)) == "signature_invalid"
    assert code_of(till.decide(facts, deny_list=replace(LIST, purses=denied.tokens))) == "accept"


LIMITS = [
    (4_000, Usage(), "accept"),
    (4_001, Usage(), "offline_sale_too_large"),
    (1_000, Usage(card_sum_fen=6_000), "accept"),
    (1_000, Usage(card_sum_fen=6_001), "offline_card_sum_reached"),
    (1_000, Usage(card_count=2), "accept"),
    (1_000, Usage(card_count=3), "offline_card_count_reached"),
    (1_000, Usage(sum_fen=19_000), "accept"),
    (1_000, Usage(sum_fen=19_001), "offline_sum_reached"),
    (1_000, Usage(count=4), "accept"),
    (1_000, Usage(count=5), "offline_count_reached"),
    (1_000, Usage(oldest_at=NOW - 7_200), "accept"),
    (1_000, Usage(oldest_at=NOW - 7_201), "offline_too_long"),
    (1_000, Usage(last_atc=0), "accept"),
    (1_000, Usage(last_atc=1), "counter_not_rising"),
    (1_000, Usage(last_atc=2), "counter_not_rising"),
]


@pytest.mark.parametrize(("amount_fen", "usage", "code"), LIMITS)
def test_each_limit_at_its_edge(till: Till, amount_fen: int, usage: Usage, code: str) -> None:
    answer = till.decide(till.facts(amount_fen), usage=usage)
    assert code_of(answer) == code
    assert isinstance(answer, Accept) or answer.may_ask_online


def test_the_terminals_own_limits_bind_a_generous_card(till: Till) -> None:
    certificate = till.kit.certificate(offline_sale_max_fen=99_999, offline_sum_max_fen=99_999)

    def asked(amount_fen: int, **used: int) -> str:
        facts = till.facts(amount_fen, certificate)
        return code_of(till.decide(facts, usage=Usage(**used)))

    assert asked(5_000) == "accept"
    assert asked(5_001) == "offline_sale_too_large"
    assert asked(5_000, card_sum_fen=3_000) == "accept"
    assert asked(5_000, card_sum_fen=3_001) == "offline_card_sum_reached"


AGES = [
    # (seconds after the profile ends at NOW + 3540), deny list's age, level, code
    (0, 0, Level.FULL, None),
    (1, 0, Level.NARROWED, "profile_expired"),
    (600, 0, Level.NARROWED, "profile_expired"),
    (601, 0, Level.ENDED, "profile_expired"),
    (-10, 1_800, Level.FULL, None),
    (-10, 1_801, Level.NARROWED, "deny_list_too_old"),
    (-10, 2_400, Level.NARROWED, "deny_list_too_old"),
    (-10, 2_401, Level.ENDED, "deny_list_too_old"),
    (10, 2_401, Level.ENDED, "deny_list_too_old"),
    (601, 1_900, Level.ENDED, "profile_expired"),
]


@pytest.mark.parametrize(("late", "age", "level", "code"), AGES)
def test_what_is_too_old_narrows_and_then_ends(
    till: Till, late: int, age: int, level: Level, code: str | None
) -> None:
    now = till.profile.expires_at + late
    deny_list = replace(LIST, as_of=now - age)
    standing = standing_of(till.profile, deny_list, now)
    assert (standing.level, standing.code) == (level, code)


def test_a_narrowed_terminal_takes_less_of_less(till: Till) -> None:
    now = till.profile.expires_at + 1
    fresh = replace(LIST, as_of=now)
    assert code_of(till.decide(till.facts(200), now=now, deny_list=fresh)) == "accept"
    dear = till.decide(till.facts(201), now=now, deny_list=fresh)
    assert dear == Refuse("offline_sale_too_large", 200)
    assert code_of(till.decide(PurseFacts(100, PURSE), now=now, deny_list=fresh)) == (
        "profile_expired"  # e-purses are not among what this profile still takes
    )
    assert code_of(till.decide(now=now + 600, deny_list=fresh)) == "profile_expired"


def test_without_profile_list_or_time_nothing_is_taken(till: Till) -> None:
    assert code_of(till.decide(profile=None)) == "profile_missing"
    assert code_of(till.decide(deny_list=None)) == "deny_list_missing"
    assert code_of(till.decide(deny_list=DenyList())) == "deny_list_missing"
    assert code_of(till.decide(now=till.profile.issued_at - 300)) != "terminal_clock_wrong"
    assert code_of(till.decide(now=till.profile.issued_at - 301)) == "terminal_clock_wrong"


PURSES = [
    ({}, "accept"),
    ({"issuer": bytes(8)}, "purse_foreign"),
    ({"start": bytes.fromhex("20260922")}, "purse_not_yet_valid"),
    ({"expiry": bytes.fromhex("20260920")}, "purse_expired"),
    ({"expiry": b"\xff" * 4}, "card_answer_malformed"),
    ({"serial": b"\xff" * 10}, "card_answer_malformed"),
    ({"serial": bytes(9) + b"\x18"}, "card_denied"),
    ({"serial": bytes(9) + b"\x17"}, "accept"),  # that is a token's number
]


@pytest.mark.parametrize(("changes", "code"), PURSES)
def test_a_purse_is_judged_by_what_it_says(till: Till, changes: Any, code: str) -> None:
    assert code_of(till.decide(PurseFacts(1_000, replace(PURSE, **changes)))) == code


def test_a_purse_has_the_terminals_limits(till: Till) -> None:
    assert code_of(till.decide(PurseFacts(5_001, PURSE))) == "offline_sale_too_large"
    full = till.decide(PurseFacts(1_000, PURSE), usage=Usage(count=5))
    assert code_of(full) == "offline_count_reached"


def test_a_certificate_is_checked_once(till: Till) -> None:
    asked = []

    def check(certificate: Certificate, point: bytes) -> bool:
        asked.append(certificate.not_after)
        return verify_certificate(certificate, point)

    known = GenuineCertificates(check, most=2)
    point = till.profile.issuer_keys[Suite.AES_ES256, 1]
    certificates = [till.kit.certificate(not_after=NOW + at) for at in range(3)]
    for certificate in (certificates[0], certificates[0], certificates[1]):
        assert known(certificate, point)
    assert asked == [NOW, NOW + 1]
    assert known(certificates[2], point)  # the first is forgotten
    assert known(certificates[1], point)
    assert asked == [NOW, NOW + 1, NOW + 2]
    assert known(certificates[0], point)
    forged = replace(certificates[0], signature=sign(till.kit.device, b"x"))
    for _ in range(2):  # what is not genuine is not remembered
        assert not known(forged, point)
    assert len(asked) == 6
    assert not known(certificates[0], till.profile.issuer_keys[Suite.AES_ES256, 1][:1] + bytes(64))
    assert till.decide(is_genuine=known) == Accept()


def test_an_identity_code_never_pays() -> None:
    require_no_identity_code("9612345678461192460")
    with pytest.raises(CodeFault) as fault:
        require_no_identity_code(" CIC1.AAAA")
    assert fault.value.code == "identity_code_not_accepted"
