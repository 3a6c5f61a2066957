"""What an issuer puts on a purse: profiles as data, files and keys from them; holds no master key.

Master keys stay with the issuer's key service: `Derive` is handed in, and only diversified keys
come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from card_protocol.epurse.capp import BUS_ID, RAIL_ID, capp_record
from card_protocol.epurse.files import (
    JOURNEY_RECORDS,
    LABEL,
    LOG_RECORDS,
    SFI_CAPP,
    SFI_HOLDER,
    SFI_JOURNEYS,
    SFI_LOG,
    SFI_MANAGEMENT,
    SFI_PUBLIC,
    SFI_TRANSIT,
    HolderData,
    JourneyRecord,
    LogRecord,
    ManagementData,
    PublicData,
    key_factors,
)
from card_protocol.epurse.suites import DES3, SM4_SUITE
from card_protocol.mobile_card import EPURSE_AID
from hce.applets.epurse.purse_files import BinaryFile, CyclicFile, PurseFile, VariableFile
from hce.applets.epurse.state import Face, KeyKind, Pin, PurseKey, PurseState, Rules

FOLDER: Final = 0x1001
FCI_VERSION: Final = 0x02
CAPP_ID: Final = 0xAA
CAPP_BYTES, BUS_BYTES, RAIL_BYTES = 43, 120, 128


@dataclass(frozen=True, slots=True)
class KeyName:
    """Which key a card is to get."""

    kind: KeyKind
    index: int
    version: int
    algorithm: int


# (which key, factors outermost first) -> 16 bytes. The issuer's key service stands behind it.
Derive = Callable[[KeyName, tuple[bytes, ...]], bytes]


def key_names(algorithm: int, index: int, version: int = 1) -> tuple[KeyName, ...]:
    """One key of each kind under one algorithm."""
    return tuple(KeyName(kind, index, version, algorithm) for kind in KeyKind)


@dataclass(frozen=True, slots=True)
class PurseProfile:
    """One kind of card. `levels`: 1 when masters are the city's own, 2 when the nation's."""

    name: str
    card_type: int  # SFI 17
    keys: tuple[KeyName, ...]
    rules: Rules = field(default_factory=Rules)
    levels: int = 1
    has_pin: bool = False
    aid: bytes = EPURSE_AID
    label: str = LABEL
    file_id: int = FOLDER
    version: int | None = FCI_VERSION
    transit_room_bytes: int = 512


# An issuer that wants SM4 first, or alone, changes `keys`: the first of a kind secures commands.
PLASTIC_MAIN: Final = PurseProfile(
    "plastic-main", card_type=1, keys=key_names(DES3.algorithm, 1), has_pin=True
)
PLASTIC_SECONDARY: Final = PurseProfile(
    "secondary",
    card_type=1,
    keys=key_names(DES3.algorithm, 1),
    rules=Rules(balance_max_fen=50_000),
)
SIM: Final = PurseProfile(
    "sim",
    card_type=1,
    keys=key_names(SM4_SUITE.algorithm, 2) + key_names(DES3.algorithm, 1),
    has_pin=True,
)
PROFILES: Final = MappingProxyType(
    {profile.name: profile for profile in (PLASTIC_MAIN, PLASTIC_SECONDARY, SIM)}
)


def personalise(
    profile: PurseProfile,
    public: PublicData,
    management: ManagementData,
    *,
    derive: Derive,
    pin: bytes | None = None,
) -> PurseState:
    """A purse at birth: no money, counters at nought, every fixed file in its full size.

    `management` says the place; its card type is the profile's. Raises ValueError when PIN and
    profile disagree, `MalformedBytes` for anything that fits no file.
    """
    if (pin is not None) != profile.has_pin:
        raise ValueError("a PIN is given exactly where the profile has one")
    factors = key_factors(public, profile.levels)
    keys = tuple(
        PurseKey(name.kind, name.index, name.version, name.algorithm, derive(name, factors))
        for name in profile.keys
    )
    return PurseState(
        Face(profile.aid, profile.label, profile.file_id, profile.version),
        profile.rules,
        keys,
        _files(profile, public, management),
        pin=None if pin is None else Pin(pin),
    ).require_complete()


def _files(
    profile: PurseProfile, public: PublicData, management: ManagementData
) -> tuple[PurseFile, ...]:
    place = management.encode()
    typed = ManagementData.decode(place[:10] + bytes((profile.card_type,)) + place[11:])
    bus = capp_record(BUS_ID, bytes(BUS_BYTES - 3))
    rail = capp_record(RAIL_ID, bytes(RAIL_BYTES - 4), id_bytes=2)
    return (
        BinaryFile(SFI_PUBLIC, public.encode()),
        BinaryFile(SFI_HOLDER, HolderData().encode()),
        BinaryFile(SFI_MANAGEMENT, typed.encode()),
        CyclicFile.empty(SFI_LOG, LOG_RECORDS, LogRecord.LAYOUT.size),
        CyclicFile.empty(SFI_JOURNEYS, JOURNEY_RECORDS, JourneyRecord.LAYOUT.size),
        VariableFile(SFI_CAPP, (capp_record(CAPP_ID, bytes(CAPP_BYTES - 3)),), 256),
        VariableFile(SFI_TRANSIT, (bus, rail), profile.transit_room_bytes),
    )
