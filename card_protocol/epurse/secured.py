"""Commands with a MAC (CLA 04 and 84): how one is made and what it covers; checks no key."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from card_protocol.apdu import SHORT_DATA_MAX, CommandApdu
from card_protocol.checks import require
from card_protocol.epurse.suites import CODE, MAC_BYTES, PurseSuite

SECURED_CLASSES: Final = frozenset({0x04, 0x84})
SECURED_DATA_BYTES_MAX: Final = SHORT_DATA_MAX - MAC_BYTES


def secured_input(header: bytes, data: bytes) -> bytes:
    """CLA INS P1 P2, Lc counting the MAC, and the data without it."""
    require(len(data) <= SECURED_DATA_BYTES_MAX, CODE, "secured data is at most 251 bytes")
    return header + bytes((len(data) + MAC_BYTES,)) + data


def secure(command: CommandApdu, suite: PurseSuite, key: bytes, challenge: bytes) -> CommandApdu:
    """`command` with its MAC behind its data, under the random number GET CHALLENGE gave."""
    mac = suite.command_mac(key, challenge, secured_input(command.header, command.data))
    return replace(command, data=command.data + mac)


def reload_pin_mac(suite: PurseSuite, key: bytes, new_pin: bytes) -> bytes:
    """RELOAD PIN's MAC, 4 bytes: as a TAC, over the new PIN alone.

    UNSURE: the standard's text was not at hand. It covers no random number, so an old command
    can be played again: PIN, tries and nothing else come back as they were.
    """
    return suite.tac(key, new_pin)
