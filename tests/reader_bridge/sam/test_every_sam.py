"""What every make of SAM does alike: the published MACs, serials, false answers, locks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from card_protocol.epurse.files import key_factors
from card_protocol.epurse.sam import SERIAL_MAX, SamKey, SamOffer
from card_protocol.epurse.suites import DES3, SM4_SUITE, diversify_levels
from card_protocol.epurse.transactions import TransactionKind
from reader_bridge.faults import CardFault, SamFault
from reader_bridge.sam.port import Verified
from tests.hce.epurse_bench import PUBLIC
from tests.reader_bridge.sam.examples import (
    FACTOR,
    LOCKS_AFTER,
    REQUEST,
    STANDS,
    SUITES,
    TERMINAL,
    TEXTBOOK,
    Stand,
    right_mac2,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "card_protocol" / "vectors" / "epurse.json").read_text("utf-8")
)
FALSE = bytes(4)


@pytest.fixture(params=STANDS)
def stand(request, tmp_path) -> Stand:
    return STANDS[request.param](tmp_path)


@pytest.fixture
def sam(stand):
    opened = stand.open()
    yield opened
    stand.close(opened)


def begin(sam, **changes):
    request = replace(REQUEST, **changes)
    return request, sam.begin_purchase(request)


def test_its_name(sam):
    assert sam.read_terminal_number() == TERMINAL
    assert sam.key_index() == 1
    assert not sam.is_test


@pytest.mark.parametrize(
    ("vectors", "algorithm"),
    [(VECTORS["des3"]["purchase"], DES3.algorithm), (VECTORS["sm4"]["purchase"], 0x04)],
)
def test_the_published_purchase(sam, vectors, algorithm):
    """Goal: byte for byte the worked example: serial 00000001, MAC1, and the card's MAC2."""
    _, offer = begin(sam, algorithm=algorithm)
    assert offer == SamOffer(bytes.fromhex("00000001"), bytes.fromhex(vectors["MAC1"]))
    assert sam.finish_purchase(bytes.fromhex(vectors["MAC2"])) == Verified(offer.terminal_serial)


def test_the_published_compound_purchase(sam):
    _, offer = begin(sam, kind=TransactionKind.COMPOUND_PURCHASE)
    assert offer.mac1.hex().upper() == VECTORS["des3"]["capp_purchase_mac1"]["MAC1"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("suite", SUITES)
def test_diversified_masters(sam, suite, version):
    """The card's key is what the issuer personalised: by `files.key_factors`, and the vectors."""
    algorithm = SUITES[suite].algorithm
    request, offer = begin(sam, key_version=version, algorithm=algorithm)
    public = replace(PUBLIC, serial=bytes(2) + FACTOR)
    factors = key_factors(public, version - 1)
    card_key = diversify_levels(SUITES[suite], TEXTBOOK, factors)
    published = VECTORS["des3" if suite == "3des" else "sm4"]
    vector = published.get("diversify" if version == 2 else "diversify_two_level")
    assert vector is None or card_key.hex().upper() == vector["DK"]
    own = (SamKey(version, algorithm, 0, card_key),)
    assert sam.finish_purchase(right_mac2(request, offer.terminal_serial, own))


def test_serials_never_come_back_not_even_after_a_restart(stand):
    seen = []
    for _ in range(3):
        sam = stand.open()
        seen += [begin(sam)[1].terminal_serial for _ in range(2)]  # none of them finished
        stand.close(sam)
    assert [int.from_bytes(serial) for serial in seen] == [1, 2, 3, 4, 5, 6]


def test_a_clone_with_a_fixed_mac2(sam):
    for _ in range(2):
        request, offer = begin(sam)
        with pytest.raises(CardFault, match="card_false_mac"):
            sam.finish_purchase(FALSE)
        with pytest.raises(SamFault, match="sam_session_gone"):  # one try
            sam.finish_purchase(right_mac2(request, offer.terminal_serial))


def test_an_answer_of_another_purchase(sam):
    request, first = begin(sam)
    old = right_mac2(request, first.terminal_serial)
    assert sam.finish_purchase(old)
    begin(sam)
    with pytest.raises(CardFault, match="card_false_mac"):
        sam.finish_purchase(old)


def test_a_purchase_begun_anew_gives_the_first_one_up(sam):
    request, first = begin(sam)
    begin(sam)
    with pytest.raises(CardFault, match="card_false_mac"):
        sam.finish_purchase(right_mac2(request, first.terminal_serial))


def test_it_locks_after_so_many_false_answers_in_a_row(stand):
    sam = stand.open()
    for _ in range(LOCKS_AFTER - 1):
        begin(sam)
        with pytest.raises(CardFault):
            sam.finish_purchase(FALSE)
    request, offer = begin(sam)
    sam.finish_purchase(right_mac2(request, offer.terminal_serial))  # counted from nought again
    for _ in range(LOCKS_AFTER):
        begin(sam)
        with pytest.raises(CardFault):
            sam.finish_purchase(FALSE)
    for _ in range(2):
        with pytest.raises(SamFault, match="sam_locked"):
            begin(sam)
        stand.close(sam)
        sam = stand.open()  # a restart does not help
    stand.close(sam)


@pytest.mark.parametrize("changes", [{"key_version": 9}, {"algorithm": 0x01}])
def test_a_card_of_other_keys(sam, changes):
    with pytest.raises(CardFault, match="card_key_unknown"):
        begin(sam, **changes)
    assert begin(sam)[1].terminal_serial == bytes.fromhex("00000001")  # it cost no serial


def test_a_master_of_two_levels_needs_the_issuer(sam):
    if hasattr(sam, "_sends_issuer"):
        sam._sends_issuer = False
    with pytest.raises(SamFault, match="sam_failed"):
        begin(sam, key_version=3, issuer=None)


@pytest.mark.parametrize("make", STANDS)
def test_the_last_serial(make, tmp_path):
    stand = STANDS[make](tmp_path, start=SERIAL_MAX - 1)
    sam = stand.open()
    assert begin(sam)[1].terminal_serial == b"\xff" * 4
    with pytest.raises(SamFault, match="sam_counter_spent"):
        begin(sam)
    stand.close(sam)


def test_a_torn_purchase_is_proved_while_it_is_the_last(sam):
    request, offer = begin(sam)
    mac2 = right_mac2(request, offer.terminal_serial)
    assert sam.prove_purchase(request, offer, mac2) == Verified(offer.terminal_serial)


def test_a_false_proof(sam):
    request, offer = begin(sam)
    with pytest.raises(CardFault, match="card_false_mac"):
        sam.prove_purchase(request, offer, FALSE)


def test_a_purchase_of_another_sam_is_not_proved(sam):
    request, offer = begin(sam)
    other = SamOffer(offer.terminal_serial, FALSE)
    with pytest.raises(SamFault, match="sam_session_gone"):
        sam.prove_purchase(request, other, FALSE)
    later = SamOffer(b"\x00\x00\x00\x09", offer.mac1)
    with pytest.raises(SamFault, match="sam_session_gone"):
        sam.prove_purchase(request, later, FALSE)


def test_no_key_shows(sam):
    request, offer = begin(sam)
    for thing in (sam, getattr(sam, "_session", None), getattr(sam, "_keys", None)):
        shown = repr(thing) + str(thing)
        assert TEXTBOOK.hex() not in shown.lower()
        assert repr(TEXTBOOK) not in shown
        assert repr(right_mac2(request, offer.terminal_serial)) not in shown


def test_factor_of_the_vectors_is_the_cards():
    assert VECTORS["des3"]["diversify"]["factor8"] == FACTOR.hex().upper()
    assert VECTORS["sm4"]["diversify"]["factor8"] == FACTOR.hex().upper()
    assert SM4_SUITE.algorithm == 0x04
