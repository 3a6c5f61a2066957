"""The card: selection by name or file id, dispatch to what is selected, answers cut to Le.

Any bytes get a status word and nothing is ever raised. Knows no application and no transport.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType

from card_protocol.apdu import SHORT_LE_MAX, CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from hce.applet import Applet, FiledApplet, refuse, refuse_unknown
from hce.applets.directory import DirectoryApplet
from hce.atr import contactless_atr

_log = logging.getLogger(__name__)

INS_SELECT = 0xA4
INS_GET_RESPONSE = 0xC0
P1_BY_FILE_ID, P1_BY_NAME = 0x00, 0x04
P2_FIRST, P2_NEXT = 0x00, 0x02
MASTER_FILE = 0x3F00
SELECTED_SW1 = frozenset({0x90, 0x62, 0x63})  # done, or done with a warning
MORE_DATA = 0x6100  # | bytes waiting, 00 = 256 or more (ISO/IEC 7816-4, 5.6)
WRONG_LE = 0x6C00  # | the right Le, 00 = 256

# What a terminal hears that forgot to select; every other command is unknown by then.
NOTHING_SELECTED: Mapping[tuple[int, int], StatusWord] = MappingProxyType(
    {
        (0x80, 0xA8): StatusWord.CONDITIONS_NOT_MET,
        (0x00, 0xB2): StatusWord.RECORD_NOT_FOUND,
    }
)


class Card:
    """Bytes in, bytes out; safe to share between threads, one command at a time.

    A command sent to a card that is off finds it freshly powered: a phone's field brings its own
    power and never says "on". After a fault inside an application (a bug) every command answers
    6F00 until `reset`, `power_off` or `power_on`.
    """

    def __init__(self, applets: Sequence[Applet], *, default_aid: bytes | None = None) -> None:
        """`applets` in the order the directory lists them.

        `default_aid`: selected after power-on, before any SELECT, and by SELECT without a name
        (ISO/IEC 7816-4, 11.1.1, "implicit selection"), as plastic cards do.
        Raises `MalformedBytes` "fci_malformed" for none, more than 8, or a name no card can have;
        ValueError for two of one name or file id, or a default that is not there.
        """
        directory = DirectoryApplet(applets)
        self._applets: dict[bytes, Applet] = {directory.aid: directory}
        for applet in applets:
            if applet.aid in self._applets:
                raise ValueError("two applications of one name")
            self._applets[applet.aid] = applet
        folders = [applet.file_id for applet in applets if isinstance(applet, FiledApplet)]
        if MASTER_FILE in folders or len(set(folders)) != len(folders):
            raise ValueError("two folders of one file id")
        if default_aid is not None and default_aid not in self._applets:
            raise ValueError("the default application is not on the card")
        self._default = None if default_aid is None else self._applets[default_aid]
        self._is_fresh = True
        self.atr = contactless_atr()
        self._lock = threading.Lock()
        self._selected: Applet | None = None
        self._waiting: ResponseApdu | None = None  # the rest of an answer, for GET RESPONSE
        self._is_shut = False

    def power_on(self) -> bytes:
        """A fresh session; the ATR."""
        with self._lock:
            self._forget()
        return self.atr

    def reset(self) -> bytes:
        """A fresh session; the ATR (a warm reset, ISO/IEC 7816-3, 6.2.3)."""
        return self.power_on()

    def power_off(self) -> None:
        """Selection, waiting bytes and a fault are forgotten."""
        with self._lock:
            self._forget()

    def transmit(self, command: bytes) -> bytes:
        """One command APDU (any bytes); the answer ends with a status word."""
        with self._lock:
            if self._is_shut:
                return refuse(StatusWord.INTERNAL_FAULT).encode()
            try:
                return self._respond(bytes(command)).encode()
            except Exception as error:  # a bug shuts the card, not its reader
                self._forget()
                self._is_shut = True
                _log_fault(error)
                return refuse(StatusWord.INTERNAL_FAULT).encode()

    def _forget(self) -> None:
        self._selected, self._waiting, self._is_shut = None, None, False
        self._is_fresh = True

    def _respond(self, body: bytes) -> ResponseApdu:
        waiting, self._waiting = self._waiting, None  # kept for the very next command only
        try:
            command = CommandApdu.decode(body)
        except MalformedBytes:
            return refuse(StatusWord.WRONG_LENGTH)
        if self._is_fresh:
            self._is_fresh = False
            if self._default is not None:
                self._enter(self._default)
        if (command.cla, command.ins) == (0x00, INS_GET_RESPONSE):
            return self._get_response(command, waiting)
        if (command.cla, command.ins) == (0x00, INS_SELECT):
            return self._fit(command, self._select(command))
        if self._selected is not None:
            return self._fit(command, self._selected.process(command))
        sw = NOTHING_SELECTED.get((command.cla, command.ins))
        return refuse_unknown(command) if sw is None else refuse(sw)

    def _select(self, command: CommandApdu) -> ResponseApdu:
        """Whoever asks for another application has left the former one."""
        if command.p1 == P1_BY_FILE_ID:
            return self._select_by_file_id(command)
        self._selected = None
        if command.p1 != P1_BY_NAME or command.p2 not in {P2_FIRST, P2_NEXT}:
            return refuse(StatusWord.WRONG_P1_P2)
        applet = self._applets.get(command.data) if command.data else self._default
        if applet is None or command.p2 == P2_NEXT:  # a full name fits one application
            return refuse(StatusWord.FILE_NOT_FOUND)
        return self._enter(applet)

    def _enter(self, applet: Applet) -> ResponseApdu:
        self._selected = None
        answer = applet.select()
        if answer.sw >> 8 in SELECTED_SW1:
            self._selected = applet
        return answer

    def _select_by_file_id(self, command: CommandApdu) -> ResponseApdu:
        """A file of the selected application, an application's folder, or the master file.

        Cards without a folder have no master file. Only what succeeds leaves the application.
        """
        folders = [item for item in self._applets.values() if isinstance(item, FiledApplet)]
        if command.p2 != P2_FIRST:
            self._selected = None
            return refuse(StatusWord.WRONG_P1_P2)
        if not folders or len(command.data) not in {0, 2}:
            self._selected = None
            return refuse(StatusWord.FILE_NOT_FOUND)
        file_id = int.from_bytes(command.data) or MASTER_FILE  # without data: the root
        if file_id == MASTER_FILE:
            self._selected = None
            return ResponseApdu(b"", StatusWord.OK)
        for folder in folders:
            if folder.file_id == file_id:
                return self._enter(folder)
        if isinstance(self._selected, FiledApplet):
            return self._selected.select_file(file_id)
        return refuse(StatusWord.FILE_NOT_FOUND)

    def _fit(self, command: CommandApdu, answer: ResponseApdu) -> ResponseApdu:
        """The answer, if the terminal has room for it.

        Without Le all of it is given: readers leave Le out and want the data all the same. With a
        smaller Le a command with data, whose work is done, leaves its answer to GET RESPONSE; one
        without is a read and is asked again (ISO/IEC 7816-3, 12.2).
        """
        size = len(answer.data)
        if command.le is None or size <= command.le:
            return answer
        if not command.data:
            return ResponseApdu(b"", WRONG_LE | _size_byte(size))
        self._waiting = answer
        return ResponseApdu(b"", MORE_DATA | _size_byte(size))

    def _get_response(self, command: CommandApdu, waiting: ResponseApdu | None) -> ResponseApdu:
        if command.p1 or command.p2:
            return refuse(StatusWord.WRONG_P1_P2)
        if command.data:
            return refuse(StatusWord.WRONG_LENGTH)
        if waiting is None:
            return refuse(StatusWord.CONDITIONS_NOT_MET)
        size, le = len(waiting.data), command.le or SHORT_LE_MAX
        if le > size and le < SHORT_LE_MAX:  # 00 asks for all there is
            self._waiting = waiting
            return ResponseApdu(b"", WRONG_LE | _size_byte(size))
        if le >= size:
            return waiting
        rest = ResponseApdu(waiting.data[le:], waiting.sw)
        self._waiting = rest
        return ResponseApdu(waiting.data[:le], MORE_DATA | _size_byte(len(rest.data)))


def _size_byte(size: int) -> int:
    return size if size < SHORT_LE_MAX else 0


def _log_fault(error: Exception) -> None:
    """Kind and place only: the text of an exception, like a frame's variables, may hold secrets."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
    _log.error("card fault: %s at %s; shut until reset", type(error).__name__, place)
