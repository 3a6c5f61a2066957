"""The e-purse's keys and MACs under an issuer's master: the first step is the master's own.

What follows from a card's key is the card's maths, in `card_protocol.epurse.suites`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from backend.keys.blocks import SM4, TRIPLE_DES, Block
from backend.keys.derivations import CommandMac, SessionMac, TacMac
from card_protocol.epurse.suites import (
    DES3,
    SM4_SUITE,
    PurseSuite,
    diversify_input,
    diversify_levels,
)

SUITES: Mapping[str, PurseSuite] = MappingProxyType({TRIPLE_DES: DES3, SM4: SM4_SUITE})


def card_key(master: Block, algorithm: str, factors: tuple[bytes, ...]) -> bytes:
    """A card's 16-byte key, one level of diversification for each 8-byte factor."""
    first, *more = factors
    key = master.encrypt_blocks(diversify_input(first))
    return diversify_levels(SUITES[algorithm], key, more)


def purse_mac(
    master: Block, algorithm: str, how: SessionMac | TacMac | CommandMac, data: bytes
) -> bytes:
    """The 4 bytes that card, terminal and issuer compare."""
    suite, key = SUITES[algorithm], card_key(master, algorithm, how.factors)
    match how:
        case SessionMac():
            return suite.mac(suite.session_key(key, how.seed), data)
        case TacMac():
            return suite.tac(key, data)
        case CommandMac():
            return suite.command_mac(key, how.challenge, data)
