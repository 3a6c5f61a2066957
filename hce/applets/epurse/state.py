"""What lasts on a purse: keys, counters, balance, files, and the rules it was born with; pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from enum import IntEnum, unique
from typing import Final

from card_protocol.checks import (
    U8_MAX,
    require,
    require_bytes,
    require_printable,
    require_whole,
)
from card_protocol.epurse.commands import require_pin
from card_protocol.epurse.files import SFI_PUBLIC, PublicData
from card_protocol.epurse.suites import ALGORITHMS, KEY_BYTES, MAC_BYTES, PurseSuite, get_suite
from card_protocol.epurse.transactions import BALANCE_MAX_FEN, COUNTER_MAX, TransactionKind
from card_protocol.fci import LABEL_CHARACTERS_MAX, require_aid
from hce.applets.epurse.purse_files import PurseFile

CODE = "purse_state_malformed"
KEYS_MAX: Final = 32
TRIES_MAX: Final = 15  # 63Cx has one digit for them


@unique
class KeyKind(IntEnum):
    """Which key does what; the issuer derives each from a master of its own."""

    PURCHASE = 1  # DPK
    LOAD = 2  # DLK
    TAC = 3  # DTK
    MAINTENANCE = 4  # DAMK: secured updates, block and unblock
    PIN_UNBLOCK = 5  # DPUK
    PIN_RELOAD = 6  # DRPK
    INTERNAL = 7  # for INTERNAL AUTHENTICATE; a money key there would give away its sessions
    EXTERNAL = 8  # opens plain updates


MONEY_KEYS: Final = frozenset({KeyKind.PURCHASE, KeyKind.LOAD})


@unique
class Life(IntEnum):
    ACTIVE = 0
    BLOCKED = 1  # the issuer can unblock: 6283 on SELECT
    LOCKED = 2  # for ever: 9303
    CARD_BLOCKED = 3  # for ever, nothing answers: 6A81


@dataclass(frozen=True, slots=True)
class Rules:
    """The issuer's policy for one kind of card. 0 tries: not counted.

    Raises `MalformedBytes` "purse_state_malformed".
    """

    balance_max_fen: int = 100_000
    pin_tries_max: int = 3
    key_tries_max: int = 3  # maintenance, PIN and authentication keys
    money_tries_max: int = 0  # purchase and load keys; one terminal with bad keys meets many cards
    load_needs_pin: bool = False

    def __post_init__(self) -> None:
        require_whole(self.balance_max_fen, 0, BALANCE_MAX_FEN, CODE, "balance_max_fen")
        require_whole(self.pin_tries_max, 1, TRIES_MAX, CODE, "pin_tries_max")
        require_whole(self.key_tries_max, 0, TRIES_MAX, CODE, "key_tries_max")
        require_whole(self.money_tries_max, 0, TRIES_MAX, CODE, "money_tries_max")
        require(isinstance(self.load_needs_pin, bool), CODE, "load_needs_pin is true or false")

    def tries_max(self, kind: KeyKind) -> int:
        return self.money_tries_max if kind in MONEY_KEYS else self.key_tries_max


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PurseKey:
    """One diversified key. Never printed; compared in constant time. Raises `MalformedBytes`."""

    kind: KeyKind
    index: int  # as commands name it
    version: int  # as INITIALIZE tells it
    algorithm: int
    value: bytes  # 16
    failures: int = 0  # wrong MACs in a row

    def __post_init__(self) -> None:
        require(isinstance(self.kind, KeyKind), CODE, "unknown kind of key")
        require_whole(self.index, 0, U8_MAX, CODE, "index")
        require_whole(self.version, 0, U8_MAX, CODE, "version")
        require(self.algorithm in ALGORITHMS, CODE, "an algorithm no purse has")
        require_bytes(self.value, KEY_BYTES, CODE, "value")
        require_whole(self.failures, 0, TRIES_MAX, CODE, "failures")

    def __repr__(self) -> str:
        return f"PurseKey({self.kind.name}, index={self.index}, value=<secret>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PurseKey):
            return NotImplemented
        return self._public() == other._public() and hmac.compare_digest(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self._public())

    def _public(self) -> tuple[int, ...]:
        return (self.kind, self.index, self.version, self.algorithm, self.failures)

    @property
    def suite(self) -> PurseSuite:
        return get_suite(self.algorithm)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Pin:
    """Never printed; compared in constant time. Raises `MalformedBytes`."""

    value: bytes  # 2..6 bytes of BCD
    failures: int = 0

    def __post_init__(self) -> None:
        require_pin(self.value)
        require_whole(self.failures, 0, TRIES_MAX, CODE, "failures")

    def __repr__(self) -> str:
        return "Pin(value=<secret>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pin):
            return NotImplemented
        return self.is_value(other.value) and self.failures == other.failures

    def __hash__(self) -> int:
        return hash(self.failures)

    def is_value(self, told: bytes) -> bool:
        return hmac.compare_digest(self.value, told)


@dataclass(frozen=True, slots=True)
class LastProof:
    """What GET TRANSACTION PROVE gives about the last transaction that moved money."""

    kind: TransactionKind
    atc: int  # after the transaction
    mac2: bytes  # 4
    tac: bytes  # 4

    def __post_init__(self) -> None:
        require(isinstance(self.kind, TransactionKind), CODE, "unknown kind")
        require_whole(self.atc, 0, COUNTER_MAX, CODE, "atc")
        require_bytes(self.mac2, MAC_BYTES, CODE, "mac2")
        require_bytes(self.tac, MAC_BYTES, CODE, "tac")


@dataclass(frozen=True, slots=True)
class Face:
    """How the purse is found and shown; never changes."""

    aid: bytes
    label: str
    file_id: int  # of the application's folder, for SELECT by file id
    version: int | None = None  # 9F08

    def __post_init__(self) -> None:
        require_aid(self.aid, CODE)
        require_printable(self.label, 1, LABEL_CHARACTERS_MAX, CODE, "label")
        require_whole(self.file_id, 1, 0xFFFE, CODE, "file_id")
        if self.version is not None:
            require_whole(self.version, 0, U8_MAX, CODE, "version")


@dataclass(frozen=True, slots=True)
class PurseState:
    """One purse whole. Raises `MalformedBytes` "purse_state_malformed"."""

    face: Face
    rules: Rules
    keys: tuple[PurseKey, ...]
    files: tuple[PurseFile, ...]
    pin: Pin | None = None
    balance_fen: int = 0
    offline_atc: int = 0  # of the next purchase
    online_atc: int = 0  # of the next load
    life: Life = Life.ACTIVE
    last: LastProof | None = None

    def __post_init__(self) -> None:
        require_whole(self.balance_fen, 0, BALANCE_MAX_FEN, CODE, "balance_fen")
        require_whole(self.offline_atc, 0, COUNTER_MAX, CODE, "offline_atc")
        require_whole(self.online_atc, 0, COUNTER_MAX, CODE, "online_atc")
        require(len(self.keys) <= KEYS_MAX, CODE, "more than 32 keys")

    def require_complete(self) -> PurseState:
        """Checked once, when a purse is born or read back: what every command relies on."""
        names = [(key.kind, key.index) for key in self.keys]
        require(len(set(names)) == len(names), CODE, "two keys of one kind and index")
        for key in self.keys:
            if key.kind in MONEY_KEYS:
                require(self.find_tac_key(key) is not None, CODE, "a money key without a TAC key")
        sfis = [file.sfi for file in self.files]
        require(len(set(sfis)) == len(sfis), CODE, "two files of one short id")
        PublicData.decode(self.public_body)
        return self

    @property
    def public_body(self) -> bytes:
        file = self.find_file(SFI_PUBLIC)
        body = getattr(file, "body", None)
        require(isinstance(body, bytes), CODE, "no file 15")
        assert isinstance(body, bytes)
        return body

    def find_key(self, kind: KeyKind, index: int) -> PurseKey | None:
        return next((key for key in self.keys if (key.kind, key.index) == (kind, index)), None)

    def find_first_key(self, kind: KeyKind) -> PurseKey | None:
        """The first of its kind: secured commands name no key."""
        return next((key for key in self.keys if key.kind is kind), None)

    def find_tac_key(self, money_key: PurseKey) -> PurseKey | None:
        """Commands name no TAC key: it is the one of the money key's algorithm."""
        wanted = (KeyKind.TAC, money_key.algorithm)
        return next((key for key in self.keys if (key.kind, key.algorithm) == wanted), None)

    def find_file(self, sfi: int) -> PurseFile | None:
        return next((file for file in self.files if file.sfi == sfi), None)

    def with_file(self, changed: PurseFile) -> PurseState:
        files = tuple(changed if file.sfi == changed.sfi else file for file in self.files)
        return replace(self, files=files)

    def is_key_dead(self, key: PurseKey) -> bool:
        return 0 < self.rules.tries_max(key.kind) <= key.failures

    def with_failure(self, key: PurseKey) -> PurseState:
        """One wrong MAC more under this key.

        The last allowed one blocks the application (money keys), locks it for ever (maintenance),
        or leaves the key dead (others).
        """
        tries_max = self.rules.tries_max(key.kind)
        if tries_max == 0:
            return self
        failures = min(key.failures + 1, tries_max)
        state = self._with_key(key, replace(key, failures=failures))
        if failures == tries_max and key.kind in MONEY_KEYS:
            return replace(state, life=Life.BLOCKED)
        if failures == tries_max and key.kind is KeyKind.MAINTENANCE:
            return replace(state, life=Life.LOCKED)
        return state

    def with_success(self, key: PurseKey) -> PurseState:
        return self._with_key(key, replace(key, failures=0)) if key.failures else self

    def unblocked(self) -> PurseState:
        """Active again, with all tries of the money keys back."""
        keys = tuple(
            replace(key, failures=0) if key.kind in MONEY_KEYS and key.failures else key
            for key in self.keys
        )
        return replace(self, life=Life.ACTIVE, keys=keys)

    def _with_key(self, old: PurseKey, new: PurseKey) -> PurseState:
        return replace(self, keys=tuple(new if key is old else key for key in self.keys))
