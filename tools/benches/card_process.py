"""A card in the virtual reader, in a process of its own; knows nothing of what it is asked.

`python -m tools.benches.card_process KIND` writes one line when it is in, leaves when its standard
input ends. A new kind of card is one more line in CARDS.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.mobile_card import MOBILE_CARD_AID, HolderCheck
from card_protocol.status import StatusWord
from hce.applets.mobile_card import MobileCardApplet
from hce.atr import contactless_atr
from hce.card import Card
from hce.card_file import CardRecord
from hce.demonstration import make_demonstration
from hce.ports import CardStore
from hce.signer import SoftwareSigner
from hce.store import FileCardStore, MemoryCardStore
from hce.transports.vpcd import PORT, VpcdPlug
from tools.benches.card_purse import purse_card

USES: Final = 0xFFFF  # of the limited-use key: more than a round can spend


class Yes:
    """An application that says 9000 to everything: what the reader alone costs."""

    aid, label = MOBILE_CARD_AID, "YES"

    def select(self) -> ResponseApdu:
        return ResponseApdu(b"", StatusWord.OK)

    def process(self, command: CommandApdu) -> ResponseApdu:
        del command
        return self.select()


class YesCard(Card):
    """Answers before it looks: no decoding, no selection, no lock."""

    def __init__(self) -> None:
        super().__init__([Yes()])
        self.atr = contactless_atr()

    def transmit(self, command: bytes) -> bytes:
        del command
        return b"\x90\x00"


def mobile_card(folder: Path) -> Card:
    """The mobile card with its counter in memory: what our own code costs."""
    del folder
    record = _record()
    return _card(MemoryCardStore(record.state), record)


def mobile_card_on_disk(folder: Path) -> Card:
    """As a phone has it: its counter is on the disk before each answer, and the disk takes time."""
    record, path = _record(), folder / "card.json"
    FileCardStore.create(path, record)
    return _card(FileCardStore(path), record)


def _record() -> CardRecord:
    record = make_demonstration(int(time.time()))
    key = record.state.key
    assert key is not None
    plenty = replace(key, index=key.index + 1, uses_left=USES)
    return replace(record, state=record.state.with_key(plenty))


def _card(store: CardStore, record: CardRecord) -> Card:
    assert record.signing_key is not None
    signer, now = SoftwareSigner.from_der(record.signing_key), int(time.time())
    return Card(
        [MobileCardApplet(store, signer, holder_check=lambda: HolderCheck.NONE, now=lambda: now)]
    )


CARDS: Final[Mapping[str, Callable[[Path], Card]]] = {
    "yes": lambda folder: YesCard(),
    "mobile_card": mobile_card,
    "mobile_card_on_disk": mobile_card_on_disk,
    "purse": purse_card,
}


def main(kind: str) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="city-card-bench-") as folder,
        VpcdPlug(CARDS[kind](Path(folder)), port=PORT),
    ):
        print("in", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
