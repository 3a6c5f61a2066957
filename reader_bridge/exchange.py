"""A conversation with one card: bounded, timed, 61xx and 6Cxx followed; knows no application."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.readers.port import CardChannel

FOLLOW_UPS_MAX: Final = 8  # GET RESPONSE and corrected Le together, per command
ANSWER_BYTES_MAX: Final = 2048  # all parts of one answer; ours have below 256
PART_BYTES_MAX: Final = 256 + 2  # a short APDU's answer with its status word
TAP_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the card took for one command, follow-ups included."""

    name: str
    milliseconds: float


@dataclass(slots=True)
class Exchange:
    """Sends commands over a channel. No card can keep it busy for ever or fill the memory.

    Raises CardFault for answers that no card may give, ReaderFault when the card is lost or slow.
    """

    channel: CardChannel
    elapsed: Callable[[], float] = time.perf_counter
    timings: list[Timing] = field(default_factory=list)
    _deadline: float | None = None

    def send(self, name: str, command: CommandApdu) -> ResponseApdu:
        """One command and its whole answer; `name` is for the record of times."""
        started = self.elapsed()
        if self._deadline is None:
            self._deadline = started + TAP_SECONDS_MAX
        answer = self._follow(command)
        self.timings.append(Timing(name, round((self.elapsed() - started) * 1000, 3)))
        return answer

    def _follow(self, command: CommandApdu) -> ResponseApdu:
        """ISO/IEC 7816-3, 12.1.2 and 7816-4, 5.3.4: 6Cxx asks again, 61xx fetches the rest."""
        data = b""
        for _ in range(1 + FOLLOW_UPS_MAX):
            answer = self._once(command)
            data += answer.data
            if len(data) > ANSWER_BYTES_MAX:
                raise CardFault("card_answer_too_long")
            if answer.sw >> 8 == 0x6C:
                command = replace(command, le=answer.sw & 0xFF or 256)
            elif answer.sw >> 8 == 0x61:
                command = CommandApdu(0x00, 0xC0, 0x00, 0x00, le=answer.sw & 0xFF or 256)
            else:
                return ResponseApdu(data, answer.sw)
        raise CardFault("card_answer_endless")

    def _once(self, command: CommandApdu) -> ResponseApdu:
        if self._deadline is not None and self.elapsed() > self._deadline:
            raise ReaderFault("tap_too_slow")
        body = self.channel.transmit(command.encode())
        if len(body) > PART_BYTES_MAX:
            raise CardFault("card_answer_too_long")
        try:
            return ResponseApdu.decode(body)
        except MalformedBytes:
            raise CardFault("card_answer_malformed") from None


def require_done(answer: ResponseApdu) -> bytes:
    """The data of an answer with 9000. Raises CardFault(card_declined) for any other word."""
    if answer.sw != StatusWord.OK:
        raise CardFault("card_declined", status=f"{answer.sw:04X}")
    return answer.data
