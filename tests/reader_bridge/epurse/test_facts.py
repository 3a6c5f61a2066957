"""Reading any purse: balances of other cities, files that are missing, histories."""

from __future__ import annotations

import pytest

from card_protocol.mobile_card import EPURSE_AID
from reader_bridge.faults import CardFault
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse.facts import read_balance
from reader_bridge.kernels.selection import AcceptedApplication, Selected
from tests.reader_bridge.epurse.examples import Scene, exchange_with

SELECTED = Selected(AcceptedApplication(EPURSE_AID, "MOT_T_EP", 1), b"")
NO_P1 = "6A86"
PUBLIC = "847531000000000002013100000000001234567820190718204012310000"


def scripted(answers: dict[str, str]):
    """A card of another city; what it has no line for is unknown to it."""
    sent: list[str] = []

    def transmit(command: bytes) -> bytes:
        sent.append(command.hex().upper())
        return bytes.fromhex(answers.get(command.hex().upper(), "6A82"))

    return transmit, sent


@pytest.mark.parametrize(
    ("by_p1", "balance_fen", "asked"),
    [
        ({"03": "000013889000"}, 5_000, 1),
        ({"03": "800013889000"}, 5_000, 1),  # bit 31 means nothing
        ({"03": NO_P1, "05": "000000649000"}, 100, 2),  # Guangzhou
        ({"00": "000003209000", "01": "000003209000"}, 0, 4),  # a card of Shanghai
        ({"00": "000003209000", "01": "000000649000"}, 700, 4),
        ({"00": "000003209000"}, 800, 4),
        ({"00": "000000649000", "01": "000003209000"}, 0, 4),  # nobody has less than nothing
    ],
)
def test_balances_of_all_cities(by_p1, balance_fen, asked):
    answers = {f"805C{p1}0204": answer for p1, answer in by_p1.items()}
    transmit, sent = scripted(answers)
    assert read_balance(exchange_with(transmit)) == balance_fen
    assert len(sent) == asked


@pytest.mark.parametrize("answer", ["6A82", "0000139000", "00000013889000"])
def test_a_card_that_tells_no_balance(answer):
    transmit, _ = scripted({"805C030204": answer, "805C000204": answer})
    with pytest.raises(CardFault):
        read_balance(exchange_with(transmit))


def test_a_card_without_file_17_log_and_journeys():
    """City Union: file 17 is missing or another city's own."""
    for answer in ("6A82", "01029000"):
        transmit, _ = scripted(
            {"00B0950000": PUBLIC + "9000", "00B0970000": answer, "805C030204": "000000019000"}
        )
        facts = epurse.read(exchange_with(transmit), SELECTED, with_history=True)
        assert facts.management is None
        assert (facts.log, facts.journeys, facts.balance_fen) == ((), (), 1)
        assert facts.issuer_id.hex() == "8475310000000000"
        assert facts.purse_number == "31000000000012345678"


@pytest.mark.parametrize("body", ["", "00" * 29])
def test_a_card_without_public_data(body):
    transmit, _ = scripted({"00B0950000": body + "9000"})
    with pytest.raises(CardFault, match="card_answer_malformed"):
        epurse.read(exchange_with(transmit), SELECTED)


def test_more_than_30_bytes_of_public_data():
    transmit, _ = scripted({"00B0950000": PUBLIC + "AABB9000", "805C030204": "000000019000"})
    assert epurse.read(exchange_with(transmit), SELECTED).public.custom == bytes(2)


def test_history_newest_first():
    scene = Scene()
    scene.ride(100)
    scene.buy(200)
    facts = scene.read(scene.present(), with_history=True)
    assert [record.amount_fen for record in facts.log] == [200, 100]
    assert len(facts.journeys) == 1
    assert facts.management is not None
    assert facts.management.card_type == 1
    exchange = scene.present()
    scene.read(exchange)
    assert len(epurse.read_journeys(exchange, records_max=1)) == 1
    assert scene.lines[-1][0] == "00B201F400"


def test_a_full_history_is_bounded():
    scene = Scene()
    for _ in range(12):
        scene.ride(0)
    facts = scene.read(scene.present(), with_history=True)
    assert (len(facts.log), len(facts.journeys)) == (10, 12)


def test_a_record_that_is_refused():
    transmit, _ = scripted({"00B201C400": "6982"})
    with pytest.raises(CardFault, match="card_declined"):
        epurse.read_log(exchange_with(transmit))


def test_moments_are_chinas():
    assert epurse.moment_at(1_790_000_000).hex() == "20260921221320"
