"""The only commands an inspection sends: SELECT, READ, GET BALANCE, and GET RESPONSE for the rest.

None of them changes a card, spends a try of a PIN or a counter. Knows no application.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

from card_protocol.apdu import EXTENDED_LE_MAX, SHORT_LE_MAX, CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord

# CLA and INS of what may leave this program: a list of what is harmless, not of what is harmful.
HARMLESS: Final = frozenset(
    {
        (0x00, 0xA4),  # SELECT
        (0x00, 0xB0),  # READ BINARY
        (0x00, 0xB2),  # READ RECORD
        (0x00, 0xC0),  # GET RESPONSE
        (0x80, 0x5C),  # GET BALANCE
    }
)
COMMANDS_MAX: Final = 600  # for one card: the longest walk takes about 200
PARTS_MAX: Final = 300  # GET RESPONSE after GET RESPONSE


class Channel(Protocol):
    """A card in a reader."""

    def transmit(self, command: bytes) -> bytes:
        """Raises ConnectionError when the card is gone."""


class TooTalkative(ConnectionError):
    """The card keeps us asking without an end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a card said; `sw` is None when it was no answer at all."""

    data: bytes
    sw: int | None

    @property
    def is_ok(self) -> bool:
        return self.sw == StatusWord.OK

    @property
    def is_selected(self) -> bool:
        """Also a blocked application is selected (6283), and tells who it is."""
        return self.sw in {StatusWord.OK, StatusWord.WARNING_BLOCKED}


class Asker:
    """Asks one card; answers come whole."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._left = COMMANDS_MAX

    def select_name(self, name: bytes) -> Answer:
        return self._ask(CommandApdu(0x00, 0xA4, 0x04, 0x00, name, SHORT_LE_MAX))

    def select_file(self, file_id: int) -> Answer:
        return self._ask(CommandApdu(0x00, 0xA4, 0x00, 0x00, file_id.to_bytes(2), SHORT_LE_MAX))

    def read_binary(self, sfi: int, size: int) -> Answer:
        """The whole file; a card that does not know Le 00 is asked for `size` bytes."""
        answer = self._ask(CommandApdu(0x00, 0xB0, 0x80 | sfi, 0x00, b"", SHORT_LE_MAX))
        if answer.sw in {StatusWord.WRONG_LENGTH, StatusWord.WRONG_OFFSET, None}:
            return self._ask(CommandApdu(0x00, 0xB0, 0x80 | sfi, 0x00, b"", size))
        return answer

    def read_record(self, sfi: int, record: int, *, by_identifier: bool = False) -> Answer:
        p2 = sfi << 3 | (0 if by_identifier else 4)
        return self._ask(CommandApdu(0x00, 0xB2, record, p2, b"", SHORT_LE_MAX))

    def get_balance(self, p1: int, purse: int) -> Answer:
        """`purse`: 1 is the 电子存折 (ED), 2 the 电子钱包 (EP)."""
        return self._ask(CommandApdu(0x80, 0x5C, p1, purse, b"", 4))

    def _ask(self, command: CommandApdu) -> Answer:
        answer = self._once(command)
        if answer.sw is not None and answer.sw >> 8 == 0x6C:  # wrong Le, and which one is right
            answer = self._once(replace(command, le=answer.sw & 0xFF or SHORT_LE_MAX))
        data = answer.data
        for _ in range(PARTS_MAX):
            if answer.sw is None or answer.sw >> 8 != 0x61 or len(data) > EXTENDED_LE_MAX:
                return Answer(data, answer.sw)
            le = answer.sw & 0xFF or SHORT_LE_MAX
            answer = self._once(CommandApdu(0x00, 0xC0, 0x00, 0x00, b"", le))
            data += answer.data
        raise TooTalkative("the card has ever more to say")

    def _once(self, command: CommandApdu) -> Answer:
        if (command.cla, command.ins) not in HARMLESS:
            raise ValueError("an inspection sends nothing that could change a card")
        if not self._left:
            raise TooTalkative(f"more than {COMMANDS_MAX} commands for one card")
        self._left -= 1
        try:
            answer = ResponseApdu.decode(self._channel.transmit(command.encode()))
        except MalformedBytes:
            return Answer(b"", None)
        return Answer(answer.data, answer.sw)
