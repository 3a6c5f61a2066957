"""What the issuer's host computes for a purse; keys stay in the key service. Knows no rows."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, cast

from backend.cards.errors import PurseKeyUnknown
from backend.cards.model import PurseKey
from backend.keys import KeyRef, Keys, KeyUnknown, SessionMac, TacMac
from card_protocol.epurse.files import PublicData, key_factors
from card_protocol.epurse.suites import DES3, SM4_SUITE, PurseSuite
from card_protocol.epurse.transactions import LOAD_SEED_TAIL, Load, Purchase

NOT_SEEN = bytes(4)  # dates, which no key depends on


class _Masters(NamedTuple):
    load: KeyRef
    tac: KeyRef


MASTERS: Mapping[int, _Masters] = MappingProxyType(
    {
        DES3.algorithm: _Masters(KeyRef.LOAD_3DES, KeyRef.TAC_3DES),
        SM4_SUITE.algorithm: _Masters(KeyRef.LOAD_SM4, KeyRef.TAC_SM4),
    }
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A suite whose keys are elsewhere: the key it is given names nothing, and is empty."""

    compute: Callable[[bytes], bytes]

    def mac(self, session_key: bytes, data: bytes) -> bytes:
        return self.compute(data)

    def tac(self, key: bytes, data: bytes) -> bytes:
        return self.compute(data)


@dataclass(frozen=True, slots=True)
class PurseMacs:
    """`levels`: 1 when the masters are the city's own, 2 when the nation's (`key_factors`).

    Every method raises PurseKeyUnknown for a suite or version the key service does not have.
    """

    keys: Keys = field(repr=False)
    levels: int = 1

    def is_purchase_genuine(self, key: PurseKey, purchase: Purchase, tac: bytes) -> bool:
        """Whether this card says that this terminal may be paid (TAC)."""
        suite = self._tac_suite(key)
        return hmac.compare_digest(purchase.tac(suite, b""), tac)

    def is_load_asked(
        self, key: PurseKey, load: Load, seed: LoadSeed, old_balance_fen: int, mac1: bytes
    ) -> bool:
        """Whether this card asks for this load on top of this balance (MAC1)."""
        suite = self._load_suite(key, seed)
        return hmac.compare_digest(load.mac1(suite, b"", old_balance_fen), mac1)

    def load_mac2(self, key: PurseKey, load: Load, seed: LoadSeed) -> bytes:
        """The issuer has the money: the card may take it. 4 bytes."""
        return load.mac2(self._load_suite(key, seed), b"")

    def is_load_written(
        self, key: PurseKey, load: Load, new_balance_fen: int, load_counter: int, tac: bytes
    ) -> bool:
        """Whether the load is on this chip (TAC)."""
        expected = load.tac(self._tac_suite(key), b"", new_balance_fen, load_counter)
        return hmac.compare_digest(expected, tac)

    def _tac_suite(self, key: PurseKey) -> PurseSuite:
        how = TacMac(self._factors(key))
        return self._suite(_masters(key).tac, how, key.key_version)

    def _load_suite(self, key: PurseKey, seed: LoadSeed) -> PurseSuite:
        how = SessionMac(self._factors(key), seed.encode())
        return self._suite(_masters(key).load, how, key.key_version)

    def _suite(self, ref: KeyRef, how: SessionMac | TacMac, version: int) -> PurseSuite:
        def compute(data: bytes) -> bytes:
            try:
                return self.keys.derive_and_mac(ref, how, data, version)
            except KeyUnknown:  # also where a device has no key of this suite at all
                raise PurseKeyUnknown from None

        return cast("PurseSuite", _Asked(compute))

    def _factors(self, key: PurseKey) -> tuple[bytes, ...]:
        serial, issuer = bytes.fromhex(key.purse_number), bytes.fromhex(key.issuer_id)
        public = PublicData(issuer, 0, 0, serial, NOT_SEEN, NOT_SEEN)
        return key_factors(public, self.levels)


class LoadSeed(NamedTuple):
    """What a load's session key is made of, as INITIALIZE FOR LOAD told it."""

    random: bytes  # 4
    load_counter: int

    def encode(self) -> bytes:
        return self.random + self.load_counter.to_bytes(2) + LOAD_SEED_TAIL


def _masters(key: PurseKey) -> _Masters:
    found = MASTERS.get(key.suite)
    if found is None:
        raise PurseKeyUnknown
    return found
