"""A purse in one virtual reader, its SAM in the second, pcscd between: as in a bus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from card_protocol.epurse.sam import SamTally
from hce.applets.sam import SamApplet, SamFace, TallyDisk
from hce.card import Card
from hce.purse_disk import PurseFileStore
from hce.transports.vpcd import VpcdPlug
from reader_bridge.exchange import Exchange
from reader_bridge.faults import SamFault
from reader_bridge.kernels.epurse import NotTaken, PurseSale, Torn
from reader_bridge.readers.pcsc import PcscChannel, PcscReader
from reader_bridge.sam.pcsc import PcscSam
from tests.hce.epurse_bench import purse
from tests.reader_bridge.epurse.examples import Scene, dated, is_debit
from tests.reader_bridge.sam.examples import KEYS, TERMINAL

pytestmark = pytest.mark.pcsc

PRESENT_SECONDS = 10.0
CARD_READER, SAM_READER = "Virtual PCD 00 00", "Virtual PCD 00 01"


@contextmanager
def shown(name: str) -> Iterator[PcscChannel]:
    reader = PcscReader(name)
    try:
        channel = reader.wait_for_card(PRESENT_SECONDS)
        assert channel is not None
        try:
            yield channel
        finally:
            channel.close()
    finally:
        reader.close()


class TornChannel:
    """A field that goes at DEBIT; what the card did by then stays done."""

    def __init__(self, channel: PcscChannel, *, is_done: bool) -> None:
        self._channel, self._is_done = channel, is_done

    def __getattr__(self, name: str):
        return getattr(self._channel, name)

    def transmit(self, command: bytes) -> bytes:
        if is_debit(command):
            if self._is_done:
                self._channel.transmit(command)
            self._channel.close()
        return self._channel.transmit(command)


def test_purchases_tears_and_a_pulled_sam(pcscd, tmp_path):
    """Goal: ten rides, a tear each way with its recovery, and a SAM that is pulled in mid-tap."""
    scene = Scene(state=dated(purse()))
    store = PurseFileStore.create(tmp_path / "purse", dated(purse()), bytes(32))
    tally = TallyDisk.create(tmp_path / "tally", SamTally(TERMINAL))
    sam_card = Card([SamApplet(SamFace(TERMINAL, 1, KEYS), tally)])
    with store, VpcdPlug(sam_card, port=pcscd.vpcd_port + 1):
        scene.store = store
        with VpcdPlug(scene.card(), port=pcscd.vpcd_port), shown(SAM_READER) as sam_channel:
            scene.sam = PcscSam(sam_channel, sends_issuer=True)
            for _ in range(10):
                with shown(CARD_READER) as channel:
                    assert scene.ride(100, Exchange(channel)).is_green
            for is_done, kind in ((True, PurseSale), (False, NotTaken)):
                with shown(CARD_READER) as channel, pytest.raises(Torn):
                    scene.buy(50, Exchange(TornChannel(channel, is_done=is_done)))
                with shown(CARD_READER) as channel:
                    outcome = scene.recover(Exchange(channel))
                assert isinstance(outcome, kind)
                assert not isinstance(outcome, PurseSale) or outcome.is_green
            sam_channel.close()
            with shown(CARD_READER) as channel, pytest.raises(SamFault, match="sam_lost"):
                scene.buy(50, Exchange(channel))
        assert store.view().balance_fen == 5_000 - 10 * 100 - 50
        assert tally.view().serial == 12
