"""What the card asks of an application on it; knows no application."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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


@runtime_checkable
class FiledApplet(Applet, Protocol):
    """An application that is also a folder under the master file 3F00, as purses are."""

    @property
    def file_id(self) -> int: ...

    def select_file(self, file_id: int) -> ResponseApdu:
        """A file inside, while the application is selected; 6A82 for none. It stays selected."""


def refuse(sw: StatusWord) -> ResponseApdu:
    return ResponseApdu(b"", sw)


def refuse_unknown(command: CommandApdu, classes: frozenset[int] = CLASSES) -> ResponseApdu:
    """The one answer to a command an application of these classes does not have."""
    if command.cla not in classes:
        return refuse(StatusWord.CLA_NOT_SUPPORTED)
    return refuse(StatusWord.INS_NOT_SUPPORTED)
