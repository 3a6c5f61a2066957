"""The dialogues of mobile_card_dialogues.json, all of them, with a card of each suite."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol import sm2
from card_protocol.apdu import CommandApdu
from card_protocol.mobile_card import (
    Certificate,
    GpoResponse,
    HolderCheck,
    Suite,
    is_signed_by_device,
    verify_certificate,
)
from card_protocol.signatures import PrivateKey
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from tests.hce.examples import NOW

BOOK = json.loads(Path(__file__).with_name("mobile_card_dialogues.json").read_text("utf-8"))
DIALOGUES = {one["name"]: one for one in BOOK["dialogues"]}
COMMANDS = {"00A4": "SELECT", "80A8": "GPO", "00B2": "READ RECORD", "00C0": "GET RESPONSE"}


def key_of(suite: Suite, name: str) -> PrivateKey:
    scalar = bytes.fromhex(BOOK["suites"][suite.name][name])
    if suite is Suite.SM4_SM2:
        return sm2.PrivateKey.from_scalar(scalar)
    return ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1())


SIGNERS = {suite: SoftwareSigner(key_of(suite, "device_scalar")) for suite in Suite}


def certificate_of(suite: Suite) -> Certificate:
    return Certificate.decode(bytes.fromhex(BOOK["suites"][suite.name]["certificate"]))


def card_of(suite: Suite, changes: dict[str, Any]) -> tuple[Card, MemoryCardStore]:
    told = BOOK["state"] | changes
    key = LimitedUseKey(
        index=7,
        version=2,
        value=bytes.fromhex(BOOK["suites"][suite.name]["limited_use_key"]),
        uses_left=told["uses_left"],
        not_after=NOW + told["seconds_left"],
        suite=suite,
    )
    state = CardState(certificate_of(suite), told["atc"], key if told["has_key"] else None)
    store = MemoryCardStore(replace(state, is_suspended=told["is_suspended"]))
    holder_check = HolderCheck(told["holder_check"])
    applet = MobileCardApplet(
        store, SIGNERS[suite], holder_check=lambda: holder_check, now=lambda: NOW
    )
    return Card([applet]), store


class Walk:
    """One dialogue with one card, step by step."""

    def __init__(self, suite: Suite, dialogue: dict[str, Any]) -> None:
        self.suite = suite
        self.card, self.store = card_of(suite, dialogue.get("state", {}))
        self.certificate = certificate_of(suite)
        self.pdol_data, self.fetched = b"", b""
        self.verified = 0

    def step(self, told: dict[str, Any]) -> None:
        if told["command"] == "reset":
            self.card.reset()
            return
        command = bytes.fromhex(told["command"])
        answer = self.card.transmit(command)
        if command[:2] == b"\x80\xa8" and answer[-2] in {0x90, 0x61}:
            self.pdol_data, self.fetched = CommandApdu.decode(command).data[2:], b""
        assert answer[-2:].hex().upper() == self._told(told["sw"]), told
        self._compare(self._told(told.get("answer", "")), answer[:-2])

    def _told(self, told: str | dict[str, str]) -> str:
        return told if isinstance(told, str) else told[self.suite.name]

    def _compare(self, told: str, data: bytes) -> None:
        fixed, _, place = told.partition("{")
        assert data.startswith(bytes.fromhex(fixed))
        match place:
            case "":
                assert data == bytes.fromhex(fixed)
            case "certificate}":
                assert data == self.certificate.encode()
            case "signature}":
                assert len(data) == len(fixed) // 2 + 64
                self._verify(data)
            case "first}":
                self.fetched = data
            case "rest}":
                self._verify(self.fetched + data)
            case _:
                pytest.fail(f"unknown place {place}")

    def _verify(self, data: bytes) -> None:
        response = GpoResponse.decode(data)
        assert is_signed_by_device(self.certificate, self.pdol_data, response)
        self.verified += 1


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
@pytest.mark.parametrize("name", DIALOGUES)
def test_a_dialogue_goes_as_written(name: str, suite: Suite) -> None:
    dialogue = DIALOGUES[name]
    walk = Walk(suite, dialogue)
    before = walk.store.view()
    for told in dialogue["steps"]:
        walk.step(told)
    atc = dialogue.get("state", {}).get("atc", BOOK["state"]["atc"])
    spent = dialogue["atc_after"] - atc
    assert walk.verified == spent  # a counter for each cryptogram, none for a refusal
    assert before.key is None or walk.store.view() == replace(
        before, key=replace(before.key, uses_left=before.key.uses_left - spent)
    )


@pytest.mark.parametrize("suite", list(Suite), ids=lambda suite: suite.name)
def test_the_certificates_of_the_book_are_the_issuers(suite: Suite) -> None:
    certificate = certificate_of(suite)
    assert verify_certificate(
        certificate, SoftwareSigner(key_of(suite, "issuer_scalar")).public_key
    )
    assert certificate.device_public_key == SIGNERS[suite].public_key


def test_the_book_has_every_command_done_and_refused() -> None:
    seen: dict[str, set[str]] = {name: set() for name in COMMANDS.values()}
    for dialogue in DIALOGUES.values():
        for told in dialogue["steps"]:
            name = COMMANDS.get(told["command"][:4])
            if name is not None:
                sws = told["sw"].values() if isinstance(told["sw"], dict) else [told["sw"]]
                seen[name] |= {"6Cxx" if sw[:2] == "6C" else sw for sw in sws}
    assert seen["SELECT"] >= {"9000", "6283", "6A82", "6A86", "6700"}
    assert seen["GPO"] >= {"9000", "6A86", "6985", "6700", "6A80"}
    assert seen["READ RECORD"] >= {"9000", "6A83", "6A86", "6700", "6Cxx"}
    assert seen["GET RESPONSE"] >= {"9000", "6985", "6Cxx", "6119"}
