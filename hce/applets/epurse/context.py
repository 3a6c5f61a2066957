"""What one command is decided from, and what comes of it; decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.status import StatusWord
from hce.applets.epurse.session import Session
from hce.applets.epurse.state import PurseState

RandomBytes = Callable[[int], bytes]
TRIES_LEFT: Final = 0x63C0  # | how many


@dataclass(frozen=True, slots=True)
class Context:
    state: PurseState
    session: Session
    command: CommandApdu
    random_bytes: RandomBytes

    def require_header(self, p1: int, p2: int) -> None:
        self.require_p1(p1)
        self.require_p2(p2)

    def require_p1(self, p1: int) -> None:
        if self.command.p1 != p1:
            raise Refused(StatusWord.WRONG_P1_P2)

    def require_p2(self, p2: int) -> None:
        if self.command.p2 != p2:
            raise Refused(StatusWord.WRONG_P1_P2)

    def require_length(self, length: int) -> bytes:
        """The data, when it has this length."""
        if len(self.command.data) != length:
            raise Refused(StatusWord.WRONG_LENGTH)
        return self.command.data


@dataclass(frozen=True, slots=True)
class Step:
    """The answer, and what the purse is afterwards: the state is kept before the answer leaves."""

    answer: ResponseApdu
    state: PurseState
    session: Session


class Refused(Exception):
    """A rule says no. `state`: what the refusal itself changes (tries), None for nothing."""

    def __init__(self, sw: int, state: PurseState | None = None) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw
        self.state = state


def done(
    context: Context,
    data: bytes = b"",
    *,
    state: PurseState | None = None,
    session: Session | None = None,
) -> Step:
    """9000; state and session stay unless given."""
    answer = ResponseApdu(data, StatusWord.OK)
    return Step(answer, state or context.state, session or context.session)


def tries_left(failures: int, tries_max: int) -> int:
    """63Cx; where tries are not counted, F."""
    return TRIES_LEFT | (max(tries_max - failures, 0) if tries_max else 0xF)
