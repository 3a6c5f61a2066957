"""A card or a SAM in a slot of the virtual reader, in a process of its own; knows no terminal.

`python -m tools.benches.reader_process KIND SLOT FOLDER` writes one line when it is in (`in`, and
for a mobile card its issuer's point in hex) and leaves when its standard input ends. All of them
keep their counters on the disk before they answer, as the real ones do.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from card_protocol.epurse.sam import SamKey, SamTally
from card_protocol.epurse.suites import DES3
from card_protocol.mobile_card import HolderCheck
from hce.applets.mobile_card import MobileCardApplet
from hce.applets.sam import SamApplet, SamFace, TallyDisk
from hce.card import Card
from hce.card_file import CardRecord
from hce.demonstration import make_demonstration
from hce.signer import SoftwareSigner
from hce.store import FileCardStore
from hce.transports.vpcd import PORT, VpcdPlug
from tools.bench import ROOT
from tools.benches.card_purse import KEY, KEY_INDEX, TERMINAL, purse_card
from tools.benches.errors import BenchFailed

CARD_SLOT, SAM_SLOT = 0, 1
STOP_SECONDS: Final = 10.0
USES: Final = 0xFFFF  # of the limited-use key: more than a round can spend
OFFLINE_FEN: Final = 10_000_000  # what the certificate lets the card owe
ISSUER_KEY_INDEX: Final = 1
# The purse of the bench has one key of version 1, as it is.
SAM_KEYS: Final = (SamKey(1, DES3.algorithm, 0, KEY),)
Built = tuple[Card, bytes]  # and the SEC1 point of who vouches for it; empty for others


def make_record(now: int) -> CardRecord:
    """A mobile card with offline limits, of an issuer of its own."""
    record, issuer = make_demonstration(now), SoftwareSigner.generate()
    key = record.state.key
    assert key is not None
    certificate = replace(
        record.state.certificate,
        issuer_key_index=ISSUER_KEY_INDEX,
        offline_sale_max_fen=OFFLINE_FEN,
        offline_sum_max_fen=OFFLINE_FEN,
    ).signed_by(issuer.sign)
    state = replace(record.state, certificate=certificate, key=replace(key, uses_left=USES))
    return CardRecord(state, record.signing_key, issuer.public_key)


def mobile_card(folder: Path) -> Built:
    now = int(time.time())
    record, path = make_record(now), folder / "card.json"
    assert record.signing_key is not None
    assert record.issuer_public_key is not None
    signer = SoftwareSigner.from_der(record.signing_key)
    applet = MobileCardApplet(
        FileCardStore.create(path, record),
        signer,
        holder_check=lambda: HolderCheck.NONE,
        now=lambda: now,
    )
    return Card([applet]), record.issuer_public_key


def purse(folder: Path) -> Built:
    return purse_card(folder), b""


def slot_sam(folder: Path) -> Built:
    tally = TallyDisk.create(folder / "slot-tally", SamTally(TERMINAL))
    return Card([SamApplet(SamFace(TERMINAL, KEY_INDEX, SAM_KEYS), tally)]), b""


CARDS: Final[Mapping[str, Callable[[Path], Built]]] = {
    "mobile_card": mobile_card,
    "purse": purse,
    "slot_sam": slot_sam,
}


@contextmanager
def plugged(kind: str, slot: int, folder: Path, seconds_max: float) -> Iterator[bytes]:
    """A process with such a card in that slot; yields the issuer's point.

    After `seconds_max` it is killed: nothing that waits for its answer waits for ever.
    Raises BenchFailed when the card does not come into the reader.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.benches.reader_process", kind, str(slot), str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(seconds_max, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        word, _, point = process.stdout.readline().strip().partition(" ")
        if word != "in":
            raise BenchFailed(f"{kind} did not come into the reader: {process.wait(STOP_SECONDS)}")
        yield bytes.fromhex(point)
    finally:
        killer.cancel()
        try:
            process.communicate("", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def main(kind: str, slot: int, folder: Path) -> int:
    card, point = CARDS[kind](folder)
    with VpcdPlug(card, port=PORT + slot):
        print(f"in {point.hex()}", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
