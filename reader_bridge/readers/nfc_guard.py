"""nfcpy's way to its radio, with the bounds and checks it lacks; knows ISO-DEP blocks, no driver.

nfcpy 1.0.4 lets a card ask for time or chain for ever, takes S(WTX) inside a chained answer for
data, and reads TB of an ATS at a fixed place (ISO/IEC 14443-4, 5.2: each of TA, TB, TC may lack).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reader_bridge.faults import CardFault, ReaderFault

COMMAND_SECONDS: Final = 10.0  # one command with all its waiting time extensions
COMMAND_FRAMES_MAX: Final = 600  # an extended answer in blocks of 253 is 260
ANSWER_BYTES_MAX: Final = 65_538  # an extended answer with its status word (ISO/IEC 7816-4)
FRAME_SECONDS_MAX: Final = 5.0  # the longest frame waiting time is 4.95 s (ISO/IEC 14443-4, 7.2)
FWT_SECONDS: Final = 4096 / 13.56e6 * 2**4  # FWI 4, where a card names none
_RATS: Final = 0xE0
_S_WTX: Final = 0xF2
_DEFAULT_T0, _DEFAULT_TA, _DEFAULT_TB, _DEFAULT_TC = 0x02, 0x80, 0x40, 0x02

Clock = Callable[[], float]


@dataclass(slots=True)
class _Budget:
    """What one command may still cost."""

    deadline: float
    frames: int = COMMAND_FRAMES_MAX
    answer_bytes: int = ANSWER_BYTES_MAX
    is_asking_for_time: bool = False


class GuardedRadio:
    """Stands where a tag of nfcpy expects its frontend.

    Raises CardFault and ReaderFault right through nfcpy's loops: it catches only its own errors.
    """

    def __init__(self, frontend: Any, transmission_error: type[Exception], elapsed: Clock) -> None:
        self._frontend, self._elapsed = frontend, elapsed
        self._transmission_error = transmission_error
        self._budget = _Budget(0.0, frames=0)
        self.fwt_seconds = FWT_SECONDS  # the card's, once it is known
        self.max_send_data_size: int = frontend.max_send_data_size
        self.max_recv_data_size: int = frontend.max_recv_data_size

    def begin(self, seconds: float = COMMAND_SECONDS) -> None:
        """A new command: its account begins."""
        self._budget = _Budget(self._elapsed() + seconds)

    def exchange(self, frame: bytes, timeout: float) -> bytearray:
        """One block and the block that answers it; waiting time extensions are granted in between.

        Raises CardFault(card_never_done, card_answer_endless, card_answer_too_long,
        card_link_broken), ReaderFault(card_removed), and nfcpy's CommunicationError.
        """
        heard = self._once(frame, timeout)
        if frame[0] == _RATS:
            return complete_ats(bytes(heard))
        self._budget.is_asking_for_time = False
        while heard[0] & 0xFE == _S_WTX:
            multiplier = heard[1] & 0x3F if len(heard) > 1 else 0
            if not multiplier:
                raise CardFault("card_link_broken")  # WTXM 1 to 59 (ISO/IEC 14443-4, 7.3)
            self._budget.is_asking_for_time = True
            heard = self._once(bytes((heard[0], multiplier)), multiplier * self.fwt_seconds)
        self._budget.answer_bytes -= len(heard) - 1
        if self._budget.answer_bytes < 0:
            raise CardFault("card_answer_too_long")
        return heard

    def _once(self, frame: bytes, timeout: float) -> bytearray:
        budget = self._budget
        budget.frames -= 1
        left_seconds = budget.deadline - self._elapsed()
        if budget.frames < 0 or left_seconds <= 0:
            is_waiting = budget.is_asking_for_time
            raise CardFault("card_never_done" if is_waiting else "card_answer_endless")
        wait_seconds = min(timeout, left_seconds, FRAME_SECONDS_MAX)
        heard = self._frontend.exchange(frame, timeout=wait_seconds)
        if heard is None:
            raise ReaderFault("card_removed")  # the driver has no target any more
        if not heard:
            raise self._transmission_error("an empty frame")
        return bytearray(heard)


def complete_ats(ats: bytes) -> bytearray:
    """TL, T0, TA, TB, TC of an answer to select, with the standard's defaults where one lacks.

    ISO/IEC 14443-4, 5.2. Raises CardFault(card_link_broken) when a byte is announced and not there.
    """
    rest = list(ats[1 : ats[0]])
    if not rest:
        return bytearray((5, 0x70 | _DEFAULT_T0, _DEFAULT_TA, _DEFAULT_TB, _DEFAULT_TC))
    t0, *rest = rest
    values = []
    for bit, default in ((0x10, _DEFAULT_TA), (0x20, _DEFAULT_TB), (0x40, _DEFAULT_TC)):
        if not t0 & bit:
            values.append(default)
        elif rest:
            values.append(rest.pop(0))
        else:
            raise CardFault("card_link_broken")
    return bytearray((5, 0x70 | t0 & 0x0F, *values))
