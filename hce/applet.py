"""What the card asks of an application on it; knows no application."""

from __future__ import annotations

from typing import Protocol

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.status import StatusWord

CLASSES = frozenset({0x00, 0x80})  # interindustry and proprietary, no channels, no secure messaging


class Applet(Protocol):
    """One application. An exception from it is a bug: the card shuts until reset.

    `process` gets every command while the application is selected, except SELECT and
    GET RESPONSE. Answers are whole: the card cuts them to the Le asked for.
    """

    @property
    def aid(self) -> bytes: ...

    @property
    def label(self) -> str: ...

    def select(self) -> ResponseApdu:
        """The FCI; begins a new selection and forgets the former one."""

    def process(self, command: CommandApdu) -> ResponseApdu: ...


def refuse(sw: StatusWord) -> ResponseApdu:
    return ResponseApdu(b"", sw)


def refuse_unknown(command: CommandApdu) -> ResponseApdu:
    """The one answer to a command an application does not have."""
    if command.cla not in CLASSES:
        return refuse(StatusWord.CLA_NOT_SUPPORTED)
    return refuse(StatusWord.INS_NOT_SUPPORTED)
