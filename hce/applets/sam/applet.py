"""The SAM's commands (design B.1.10): serial and MAC1 for a purchase, then the check of MAC2.

The serial is kept before MAC1 leaves. One purchase is open at a time; whatever is no 80 72 with
the right length closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.checks import require, require_bytes, require_whole
from card_protocol.epurse.sam import (
    CODE,
    FOLDER,
    MISMATCHES_MAX,
    SERIAL_MAX,
    SFI_KEY_INDEX,
    SFI_TERMINAL,
    SamKey,
    SamRequest,
    SamSession,
    SamTally,
    find_key,
    open_session,
)
from card_protocol.epurse.suites import MAC_BYTES
from card_protocol.epurse.transactions import TERMINAL_BYTES, TERMINAL_SERIAL_BYTES
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from hce.applet import refuse, refuse_unknown

SFI_BIT: Final = 0x80
# An application name of our own: SAMs of the field are selected by folder.
SAM_AID: Final = bytes.fromhex("F04349545953414D01")
SAM_LABEL: Final = "CITY SAM"
# UNSURE which words SAMs of the field have for a version without a key, and for a lock.
KEY_UNKNOWN: Final = StatusWord.KEY_INDEX_NOT_SUPPORTED
LOCKED: Final = StatusWord.PIN_BLOCKED


@dataclass(frozen=True, slots=True)
class SamFace:
    """What is personalised into the SAM. Raises `MalformedBytes` "sam_malformed"."""

    terminal: bytes  # 6
    key_index: int
    keys: tuple[SamKey, ...]
    folder: int = FOLDER
    mismatches_allowed: int = 0  # 0: never locks

    def __post_init__(self) -> None:
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_whole(self.key_index, 0, 0xFF, CODE, "key_index")
        require(bool(self.keys), CODE, "a SAM has a master")
        require_whole(self.folder, 1, 0xFFFE, CODE, "folder")
        require_whole(self.mismatches_allowed, 0, MISMATCHES_MAX, CODE, "mismatches_allowed")


class TallyStore(Protocol):
    """Where the serial lives. What either method raises shuts the card until reset."""

    def view(self) -> SamTally: ...

    def commit(self, tally: SamTally) -> None:
        """Durable when it returns."""


class MemoryTallyStore:
    """For tests and trials: forgets with the process."""

    def __init__(self, tally: SamTally) -> None:
        self._tally = tally

    def view(self) -> SamTally:
        return self._tally

    def commit(self, tally: SamTally) -> None:
        self._tally = tally


class SamApplet:
    """A `FiledApplet`: by its folder 8011, or by name."""

    aid = SAM_AID
    label = SAM_LABEL

    def __init__(self, face: SamFace, store: TallyStore) -> None:
        """Raises `MalformedBytes` "sam_malformed" for the tally of another SAM."""
        require(store.view().terminal == face.terminal, CODE, "the tally is another SAM's")
        self._face, self._store = face, store
        self._session: SamSession | None = None
        self.file_id = face.folder

    def select(self) -> ResponseApdu:
        self._session = None
        return ResponseApdu(b"", StatusWord.OK)

    def select_file(self, file_id: int) -> ResponseApdu:
        del file_id  # both files are read by their short id
        self._session = None
        return refuse(StatusWord.FILE_NOT_FOUND)

    def process(self, command: CommandApdu) -> ResponseApdu:
        session, self._session = self._session, None
        match command.cla, command.ins:
            case 0x00, 0xB0:
                return self._read(command)
            case 0x80, 0x70:
                return self._begin(command)
            case 0x80, 0x72:
                return self._finish(command, session)
        return refuse_unknown(command)

    def _read(self, command: CommandApdu) -> ResponseApdu:
        files = {
            SFI_BIT | SFI_TERMINAL: self._face.terminal,
            SFI_BIT | SFI_KEY_INDEX: bytes((self._face.key_index,)),
        }
        body = files.get(command.p1)
        if body is None:
            return refuse(StatusWord.FILE_NOT_FOUND)
        if command.p2 >= len(body):
            return refuse(StatusWord.WRONG_OFFSET)
        return ResponseApdu(body[command.p2 :], StatusWord.OK)

    def _begin(self, command: CommandApdu) -> ResponseApdu:
        if command.p1 or command.p2:
            return refuse(StatusWord.WRONG_P1_P2)
        if len(command.data) not in SamRequest.SIZES:
            return refuse(StatusWord.WRONG_LENGTH)
        tally = self._store.view()
        if self._is_locked(tally):
            return refuse(LOCKED)
        if tally.serial == SERIAL_MAX:
            return refuse(StatusWord.COUNTER_AT_MAXIMUM)
        try:
            return self._offer(SamRequest.decode(command.data), tally)
        except MalformedBytes:
            return refuse(StatusWord.WRONG_DATA)

    def _offer(self, request: SamRequest, tally: SamTally) -> ResponseApdu:
        """Raises `MalformedBytes` where the master needs an issuer that is not named."""
        key = find_key(self._face.keys, request)
        if key is None:
            return refuse(KEY_UNKNOWN)
        serial = tally.serial + 1
        offer, session = open_session(
            key, request, self._face.terminal, serial.to_bytes(TERMINAL_SERIAL_BYTES)
        )
        self._store.commit(replace(tally, serial=serial))
        self._session = session
        return ResponseApdu(offer.encode(), StatusWord.OK)

    def _finish(self, command: CommandApdu, session: SamSession | None) -> ResponseApdu:
        if command.p1 or command.p2:
            return refuse(StatusWord.WRONG_P1_P2)
        if len(command.data) != MAC_BYTES:
            return refuse(StatusWord.WRONG_LENGTH)
        if session is None:
            return refuse(StatusWord.COMMAND_NOT_ACCEPTABLE)
        tally = self._store.view()
        if not session.is_answered_by(command.data):
            mismatches = min(tally.mismatches + 1, MISMATCHES_MAX)
            self._store.commit(replace(tally, mismatches=mismatches))
            return refuse(StatusWord.MAC_INVALID)
        if tally.mismatches:
            self._store.commit(replace(tally, mismatches=0))
        return ResponseApdu(b"", StatusWord.OK)

    def _is_locked(self, tally: SamTally) -> bool:
        return 0 < self._face.mismatches_allowed <= tally.mismatches
