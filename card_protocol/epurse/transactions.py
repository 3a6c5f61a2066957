"""Load and purchase: what is signed between card, terminal and host (JR/T 0025); moves no money.

The card, the terminal's SAM and the issuer's host compute the same things from the same values, so
they stand here once. Session keys are secret; nothing here keeps or prints one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final

from card_protocol.checks import U16_MAX, U32_MAX, require, require_bytes, require_whole
from card_protocol.epurse.suites import PurseSuite

CODE = "purse_transaction_malformed"
TERMINAL_BYTES: Final = 6
TERMINAL_SERIAL_BYTES: Final = 4
MOMENT_BYTES: Final = 7  # CCYYMMDD HHMMSS in BCD, as the terminal tells it
RANDOM_BYTES: Final = 4
LOAD_SEED_TAIL: Final = bytes.fromhex("8000")
COUNTER_MAX: Final = U16_MAX
BALANCE_MAX_FEN: Final = 0x7FFF_FFFF  # readers ignore bit 31


@unique
class TransactionKind(IntEnum):
    """TTI, the transaction type identifier (design B.1.6)."""

    ED_LOAD = 0x01
    LOAD = 0x02
    UNLOAD = 0x03
    ED_CASH = 0x04
    ED_PURCHASE = 0x05
    PURCHASE = 0x06
    OVERDRAFT_CHANGE = 0x07
    CREDIT_PURCHASE = 0x08
    COMPOUND_PURCHASE = 0x09


@dataclass(frozen=True, slots=True)
class Load:
    """Money onto the purse (圈存). Raises `MalformedBytes` "purse_transaction_malformed"."""

    amount_fen: int  # u32
    terminal: bytes  # 6
    moment: bytes = bytes(MOMENT_BYTES)  # not known to MAC1, which is made before it
    kind: TransactionKind = TransactionKind.LOAD

    def __post_init__(self) -> None:
        require_whole(self.amount_fen, 0, U32_MAX, CODE, "amount_fen")
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")
        require(isinstance(self.kind, TransactionKind), CODE, "unknown kind")

    def mac1(self, suite: PurseSuite, session_key: bytes, old_balance_fen: int) -> bytes:
        """Card to host: this card asks for this load on top of this balance."""
        return suite.mac(session_key, old_balance_fen.to_bytes(4) + self._terms())

    def mac2(self, suite: PurseSuite, session_key: bytes) -> bytes:
        """Host to card: the issuer has the money."""
        return suite.mac(session_key, self._terms() + self.moment)

    def tac(self, suite: PurseSuite, key: bytes, new_balance_fen: int, online_atc: int) -> bytes:
        """Card to issuer: the load is on the chip. `online_atc` as INITIALIZE told it."""
        counted = new_balance_fen.to_bytes(4) + online_atc.to_bytes(2)
        return suite.tac(key, counted + self._terms() + self.moment)

    def _terms(self) -> bytes:
        return self.amount_fen.to_bytes(4) + bytes((self.kind,)) + self.terminal


@dataclass(frozen=True, slots=True)
class Purchase:
    """Money off the purse. Raises `MalformedBytes` "purse_transaction_malformed"."""

    amount_fen: int  # u32; 0 is normal at an entry gate
    terminal: bytes  # 6
    terminal_serial: bytes  # 4, the SAM's own count
    moment: bytes  # 7
    kind: TransactionKind = TransactionKind.PURCHASE

    def __post_init__(self) -> None:
        require_whole(self.amount_fen, 0, U32_MAX, CODE, "amount_fen")
        require_bytes(self.terminal, TERMINAL_BYTES, CODE, "terminal")
        require_bytes(self.terminal_serial, TERMINAL_SERIAL_BYTES, CODE, "terminal_serial")
        require_bytes(self.moment, MOMENT_BYTES, CODE, "moment")
        require(isinstance(self.kind, TransactionKind), CODE, "unknown kind")

    def mac1(self, suite: PurseSuite, session_key: bytes) -> bytes:
        """SAM to card: a terminal of this city asks for this amount."""
        return suite.mac(session_key, self._terms() + self.moment)

    def mac2(self, suite: PurseSuite, session_key: bytes) -> bytes:
        """Card to SAM: a card of this city has paid. It covers the amount alone."""
        return suite.mac(session_key, self.amount_fen.to_bytes(4))

    def tac(self, suite: PurseSuite, key: bytes) -> bytes:
        """Card to issuer: this terminal may be paid."""
        return suite.tac(key, self._terms() + self.terminal_serial + self.moment)

    def _terms(self) -> bytes:
        return self.amount_fen.to_bytes(4) + bytes((self.kind,)) + self.terminal


def load_session_key(suite: PurseSuite, key: bytes, random: bytes, online_atc: int) -> bytes:
    """From the card's load key, its random number (4) and counter. Raises `MalformedBytes`."""
    return suite.session_key(key, _seed_head(random, online_atc) + LOAD_SEED_TAIL)


def purchase_session_key(
    suite: PurseSuite, key: bytes, random: bytes, offline_atc: int, terminal_serial: bytes
) -> bytes:
    """From the card's purchase key; the terminal's serial makes each SAM's session its own."""
    require_bytes(terminal_serial, TERMINAL_SERIAL_BYTES, CODE, "terminal_serial")
    return suite.session_key(key, _seed_head(random, offline_atc) + terminal_serial[-2:])


def _seed_head(random: bytes, counter: int) -> bytes:
    require_bytes(random, RANDOM_BYTES, CODE, "random")
    require_whole(counter, 0, COUNTER_MAX, CODE, "counter")
    return random + counter.to_bytes(2)
