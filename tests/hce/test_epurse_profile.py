"""Purses from issuer profiles: files in full size, diversified keys, no master on the card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from card_protocol.epurse.files import HolderData, ManagementData
from card_protocol.epurse.suites import DES3, SM4_SUITE, diversify_levels, get_suite
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.purse_files import BinaryFile, CyclicFile, VariableFile
from hce.applets.epurse.state import KeyKind
from hce.purse_codec import encode_purse
from hce.purse_profile import (
    PLASTIC_MAIN,
    PLASTIC_SECONDARY,
    PROFILES,
    SIM,
    KeyName,
    key_names,
    personalise,
)
from hce.purse_store import MemoryPurseStore
from tests.hce.epurse_bench import MANAGEMENT, PIN, PUBLIC, SELECT, Bench

MASTERS = {kind: bytes((kind,)) * 16 for kind in KeyKind}


def derive(name: KeyName, factors: tuple[bytes, ...]) -> bytes:
    return diversify_levels(get_suite(name.algorithm), MASTERS[name.kind], factors)


def made(profile, **changes):
    profile = replace(profile, **changes)
    pin = PIN if profile.has_pin else None
    return personalise(profile, PUBLIC, MANAGEMENT, derive=derive, pin=pin)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_fixed_files_are_there_from_birth(profile):
    state = made(profile)
    sizes = {}
    for file in state.files:
        if isinstance(file, BinaryFile):
            sizes[file.sfi] = (1, len(file.body))
        else:
            sizes[file.sfi] = (len(file.records), len(file.records[0]))
    fixed = {0x15: (1, 30), 0x16: (1, 55), 0x17: (1, 60), 0x18: (10, 23), 0x1E: (30, 48)}
    assert sizes == fixed | {0x19: (1, 43), 0x1A: (2, 120)}
    assert state.balance_fen == state.offline_atc == state.online_atc == 0
    assert not any(b"".join(state.find_file(0x1E).records + state.find_file(0x18).records))
    holder = state.find_file(0x16)
    assert holder.body == HolderData().encode()  # free to read: no name, no number
    assert ManagementData.decode(state.find_file(0x17).body).card_type == profile.card_type


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("levels", [1, 2])
def test_keys_are_diversified_and_masters_stay_away(profile, levels):
    state = made(profile, levels=levels)
    body = encode_purse(state)
    factors = (PUBLIC.key_factor,)
    if levels == 2:
        factors = (bytes.fromhex("01011000FFFFFFFF"), *factors)
    for key in state.keys:
        expected = diversify_levels(key.suite, MASTERS[key.kind], factors)
        assert key.value == expected
        assert MASTERS[key.kind] not in body
    assert {key.kind for key in state.keys} == set(KeyKind)


def test_profiles_differ_where_cards_do():
    main, secondary, sim = made(PLASTIC_MAIN), made(PLASTIC_SECONDARY), made(SIM)
    assert main.pin is not None
    assert secondary.pin is None
    assert secondary.rules.balance_max_fen < main.rules.balance_max_fen
    assert {key.algorithm for key in main.keys} == {DES3.algorithm}
    assert {key.algorithm for key in sim.keys} == {DES3.algorithm, SM4_SUITE.algorithm}


@pytest.mark.parametrize("index", [1, 2])
def test_a_sim_pays_in_either_suite(index):
    card = Bench(MemoryPurseStore(replace(made(SIM), balance_fen=100)))
    card.get(SELECT)
    answer = card.get(f"805001020B{index:02X}000000010011223344550F")
    assert answer[10] == {1: DES3.algorithm, 2: SM4_SUITE.algorithm}[index]


def test_a_pin_goes_where_the_profile_has_one():
    for profile, pin in ((PLASTIC_MAIN, None), (PLASTIC_SECONDARY, PIN)):
        with pytest.raises(ValueError, match="PIN"):
            personalise(profile, PUBLIC, MANAGEMENT, derive=derive, pin=pin)


def test_states_that_cannot_be_are_refused():
    keys = key_names(DES3.algorithm, 1)
    for broken in (
        keys + keys,
        tuple(name for name in keys if name.kind is not KeyKind.TAC),
        (*keys, replace(keys[0], index=2, algorithm=SM4_SUITE.algorithm)),
    ):
        with pytest.raises(MalformedBytes):
            made(PLASTIC_MAIN, keys=broken)
    state = made(PLASTIC_MAIN)
    for files in (state.files[1:], state.files + state.files[:1]):
        with pytest.raises(MalformedBytes):
            MemoryPurseStore(replace(state, files=files))
    for build in (
        lambda: BinaryFile(0, b"\x00"),
        lambda: BinaryFile(1, b""),
        lambda: CyclicFile(1, ()),
        lambda: CyclicFile(1, (b"\x00", b"")),
        lambda: VariableFile(1, (b"\x01\x01\x00\x00",), 256),
        lambda: VariableFile(1, (b"\x01\x02\x00\x00",) * 2, 256),
        lambda: VariableFile(1, (b"\x01\x02\x00\x00",), 3),
        lambda: replace(state, balance_fen=-1),
        lambda: replace(state, offline_atc=0x10000),
    ):
        with pytest.raises(MalformedBytes):
            build()
