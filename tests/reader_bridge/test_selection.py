"""Selection: priorities, cards without a directory, blocked applications, one charge per tap."""

from __future__ import annotations

import pytest

from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID
from hce.applets.epurse.applet import EpurseApplet
from hce.card import Card
from hce.purse_store import MemoryPurseStore
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault
from reader_bridge.kernels import selection
from reader_bridge.kernels.selection import AcceptedApplication, Kernel, Selected
from reader_bridge.readers.loopback import LoopbackReader
from tests.hce.epurse_bench import purse
from tests.reader_bridge.support import CardKit

PURSE = AcceptedApplication(EPURSE_AID, "MOT_T_EP", 1)
PHONE = AcceptedApplication(MOBILE_CARD_AID, "CITY CARD", 2)
NO_DIRECTORY = bytes.fromhex("6A82")


def purse_applet() -> EpurseApplet:
    return EpurseApplet(MemoryPurseStore(purse()))


def both() -> Card:
    kit = CardKit()
    kit.card()
    return Card([kit.applet(), purse_applet()])


def select(transmit, accepted, **options) -> tuple[Selected, list[str]]:
    """What was selected, and the commands it took."""
    sent: list[str] = []

    def recorded(command: bytes) -> bytes:
        sent.append(command.hex().upper())
        return transmit(command)

    channel = LoopbackReader(recorded).wait_for_card(0)
    assert channel is not None
    return selection.select(Exchange(channel), accepted, **options), sent


def without_directory(card: Card):
    return lambda command: NO_DIRECTORY if b"2PAY.SYS.DDF01" in command else card.transmit(command)


@pytest.mark.parametrize(
    ("priorities", "kernel"), [((1, 2), Kernel.EPURSE), ((2, 1), Kernel.MOBILE_CARD)]
)
def test_a_phone_that_carries_both_opens_one(priorities, kernel):
    """Goal: one SELECT of one application, whichever the terminal prefers."""
    accepted = [
        AcceptedApplication(EPURSE_AID, "MOT_T_EP", priorities[0]),
        AcceptedApplication(MOBILE_CARD_AID, "CITY CARD", priorities[1]),
    ]
    selected, sent = select(both().transmit, accepted)
    assert selected.application.kernel is kernel
    assert len(sent) == 2
    assert selected.application.aid.hex().upper() in sent[1]


def test_the_kernel_is_known_from_the_aid_unless_said():
    assert (PURSE.kernel, PHONE.kernel) == (Kernel.EPURSE, Kernel.MOBILE_CARD)
    assert AcceptedApplication(bytes(7), "", 1).kernel is Kernel.MOBILE_CARD
    assert AcceptedApplication(bytes(7), "", 1, Kernel.EPURSE).kernel is Kernel.EPURSE


def test_a_card_without_a_directory_is_asked_by_aid_if_the_profile_says_so():
    transmit = without_directory(Card([purse_applet()]))
    with pytest.raises(CardFault, match="card_foreign"):
        select(transmit, [PHONE, PURSE])
    selected, sent = select(transmit, [PHONE, PURSE], tries_by_aid=True)
    assert selected.application is PURSE
    assert len(sent) == 2
    with pytest.raises(CardFault, match="application_missing"):
        select(transmit, [PHONE], tries_by_aid=True)


def test_a_fallback_asks_a_few_times_only():
    many = [AcceptedApplication(bytes([number]) * 7, "", number) for number in range(1, 60)]
    sent: list[bytes] = []

    def foreign(command: bytes) -> bytes:
        sent.append(command)
        return NO_DIRECTORY

    with pytest.raises(CardFault, match="application_missing"):
        select(foreign, many, tries_by_aid=True)
    assert len(sent) == 1 + selection.SELECTIONS_MAX


@pytest.mark.parametrize("sw", ["6283", "6A81", "9303"])
def test_a_blocked_application(sw):
    card = Card([purse_applet()])

    def blocked(command: bytes) -> bytes:
        answer = card.transmit(command)
        return bytes.fromhex(sw) if EPURSE_AID in command else answer

    with pytest.raises(CardFault, match="application_blocked"):
        select(blocked, [PURSE])
