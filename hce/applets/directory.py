"""The contactless directory 2PAY.SYS.DDF01 (PPSE): lists what the card carries, in its order."""

from __future__ import annotations

from collections.abc import Sequence

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.fci import Directory, DirectoryEntry
from card_protocol.mobile_card import PPSE_NAME
from card_protocol.status import StatusWord
from hce.applet import Applet, refuse_unknown


class DirectoryApplet:
    """First in the list has priority 1. Design A.1: mobile card first, e-purse last."""

    aid = PPSE_NAME
    label = "PPSE"

    def __init__(self, applets: Sequence[Applet]) -> None:
        """Raises `MalformedBytes` "fci_malformed" for no applet, more than 8, or a bad name."""
        entries = tuple(
            DirectoryEntry(applet.aid, applet.label, priority)
            for priority, applet in enumerate(applets, start=1)
        )
        self._answer = ResponseApdu(Directory(entries).encode(), StatusWord.OK)

    def select(self) -> ResponseApdu:
        return self._answer

    def process(self, command: CommandApdu) -> ResponseApdu:
        return refuse_unknown(command)
