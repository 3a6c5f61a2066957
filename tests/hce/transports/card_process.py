"""A card in a process of its own, held to nfcpy's udp field: the mobile card, and one that echoes.

`python -m tests.hce.transports.card_process PORT FWI`. Writes one line when it listens and one for
every session that ended; ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading
import time

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.status import StatusWord
from hce.applet import refuse_unknown
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.store import MemoryCardStore
from hce.transports.isodep_frames import Ats
from hce.transports.nfcpy_listener import NfcpyListener
from tests.hce.examples import SIGNER, STATE, Clock, HolderCheck

ECHO_AID = bytes.fromhex("F0434954594543484F")
TICK_SECONDS = 0.01


class EchoApplet:
    """80 EC gives the data back; 80 5D waits P1 hundredths of a second and tells how often it ran;
    80 5E gives P1 times 256 bytes."""

    aid, label = ECHO_AID, "ECHO"
    runs = 0

    def select(self) -> ResponseApdu:
        return ResponseApdu(b"", StatusWord.OK)

    def process(self, command: CommandApdu) -> ResponseApdu:
        match (command.cla, command.ins):
            case (0x80, 0xEC):
                self.runs += 1
                return ResponseApdu(command.data, StatusWord.OK)
            case (0x80, 0x5D):
                self.runs += 1
                time.sleep(command.p1 * TICK_SECONDS)  # sleep: a slow card is what is tried out
                return ResponseApdu(self.runs.to_bytes(4), StatusWord.OK)
            case (0x80, 0x5E):
                body = bytes(number & 0xFF for number in range(command.p1 * 256))
                return ResponseApdu(body, StatusWord.OK)
        return refuse_unknown(command)


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(port: int, fwi: int) -> None:
    mobile = MobileCardApplet(
        MemoryCardStore(STATE), SIGNER, holder_check=lambda: HolderCheck.PIN, now=Clock()
    )
    card = Card([mobile, EchoApplet()])
    with NfcpyListener(card, f"udp:127.0.0.1:{port}", ats=Ats(fwi=fwi)) as field:
        threading.Thread(target=lambda: (sys.stdin.read(), field.stop()), daemon=True).start()
        tell("listening")
        while endings := field.run(1):
            tell(endings[0].value)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
