"""Goal: a terminal believes its own profile only, signed by who it knows, never an older one."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.mode_rules import ModeRules
from card_protocol.place import Direction, TerminalPlace
from card_protocol.signatures import Suite, compressed_point
from reader_bridge.backend_client import Unreachable
from reader_bridge.faults import LANGUAGES, TerminalFault
from reader_bridge.profile import ProfileKeeper, open_profile, pins_of
from reader_bridge.profile.keeper import PROFILE_FILE
from reader_bridge.terminal import Terminal
from tests.reader_bridge.profile_world import TERMINAL_ID, TERMS, Issuer
from tests.reader_bridge.support import ACTIVATION_CODE, NOW, FakeBackend


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def home(tmp_path: Path, issuer: Issuer) -> Path:
    """A terminal's folder with the keys pinned at activation."""
    ProfileKeeper(tmp_path, TERMINAL_ID, issuer.ask).pin(issuer.jwks())
    return tmp_path


def keeper_of(home: Path, issuer: Issuer) -> ProfileKeeper:
    return ProfileKeeper(home, TERMINAL_ID, issuer.ask)


def test_activation_pins_the_keys(
    tmp_path: Path, issuer: Issuer, backend: FakeBackend, test_time: Any
) -> None:
    """Goal: from its first moment a terminal believes nobody but the city."""
    backend.activation_extra = {"profile_keys": issuer.jwks()}
    home, clock = tmp_path / "terminal", test_time.clock()
    Terminal.activate(home, backend.url, ACTIVATION_CODE, clock=clock).close()
    assert refused(keeper_of(home, Issuer())) == "profile_key_unknown"
    assert keeper_of(home, issuer).refresh().version == 4


def refused(keeper: ProfileKeeper) -> str:
    with pytest.raises(TerminalFault) as fault:
        keeper.refresh()
    for language in LANGUAGES:
        assert fault.value.text(language)
    return fault.value.code


def test_what_was_fetched_is_there_after_a_restart(home: Path, issuer: Issuer) -> None:
    fresh = keeper_of(home, issuer).refresh()
    assert (fresh.version, fresh.terms) == (4, TERMS)
    assert (fresh.issued_at, fresh.expires_at) == (NOW - 60, NOW + 3_540)
    point = fresh.issuer_keys[Suite.AES_ES256, 1]
    assert point[1:33] == compressed_point(issuer.kit.issuer.public_key())[1:]
    issuer.is_away = True
    again = keeper_of(home, issuer)
    assert again.find_kept() == fresh
    with pytest.raises(Unreachable):
        again.refresh()
    assert again.find_kept() == fresh
    assert (home / PROFILE_FILE).stat().st_mode & 0o077 == 0


def test_a_terminal_of_before_pins_what_it_hears_first(tmp_path: Path, issuer: Issuer) -> None:
    keeper = keeper_of(tmp_path, issuer)
    assert keeper.find_kept() is None
    assert keeper.refresh().version == 4
    stranger = Issuer()
    assert refused(keeper_of(tmp_path, stranger)) == "profile_key_unknown"


def test_a_rotation_is_followed_and_a_stranger_is_not(home: Path, issuer: Issuer) -> None:
    keeper = keeper_of(home, issuer)
    keeper.refresh()
    issuer.rotate()
    keeper.refresh()
    issuer.retire()
    assert keeper.refresh().version == 6
    assert keeper_of(home, issuer).find_kept() == keeper.find_kept()
    issuer.keys = [ec.generate_private_key(ec.SECP256R1())]
    assert refused(keeper) == "profile_key_unknown"
    assert keeper.pin_anew().version == 6  # a fitter says so
    assert keeper_of(home, issuer).find_kept() is not None


def test_pinning_anew_in_vain_changes_nothing(home: Path, issuer: Issuer) -> None:
    keeper = keeper_of(home, issuer)
    kept = keeper.refresh()
    issuer.is_away = True
    with pytest.raises(Unreachable):
        keeper.pin_anew()
    assert keeper.find_kept() == kept
    assert keeper_of(home, issuer).find_kept() == kept


def test_old_bytes_are_not_believed_again(home: Path, issuer: Issuer) -> None:
    keeper = keeper_of(home, issuer)
    keeper.refresh()
    issuer.version, issuer.issued_at = 5, NOW
    keeper.refresh()
    issuer.version, issuer.issued_at = 4, NOW - 60
    assert refused(keeper) == "profile_older"
    issuer.version, issuer.issued_at = 9, NOW - 1  # higher, but made before
    assert refused(keeper) == "profile_older"
    issuer.version, issuer.issued_at = 4, NOW + 3_600  # until the kept one has run out
    assert refused(keeper) == "profile_older"
    issuer.issued_at = NOW + 3_601  # a backend back from its backup
    assert keeper.refresh().version == 4


def test_another_terminals_profile_is_refused(home: Path, issuer: Issuer) -> None:
    for document in (
        issuer.document("trm_01h2xcejqtf2nbrexx3vqjhp42"),
        issuer.document(sub="trm_01h2xcejqtf2nbrexx3vqjhp42"),
    ):
        with pytest.raises(TerminalFault) as fault:
            open_profile(document, pins_of(issuer.jwks()), TERMINAL_ID)
        assert fault.value.code == "profile_foreign"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"exp": NOW - 61},
        {"exp": NOW + 40 * 86_400},
        {"iat": "now"},
        {"profile": {}},
        {"profile": None},
        {"keys": None},
        {"keys": [{}] * 17},
        {"keys": [1]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "", "y": ""}]},
    ],
)
def test_a_signed_document_may_still_be_nonsense(
    issuer: Issuer, changes: dict[str, object]
) -> None:
    with pytest.raises(TerminalFault) as fault:
        open_profile(issuer.document(**changes), pins_of(issuer.jwks()), TERMINAL_ID)
    assert fault.value.code == "profile_malformed"


def test_a_profile_tells_rules_and_place(issuer: Issuer) -> None:
    """Goal: an older profile has neither and is read; a place that is none spoils the profile."""
    assert issuer.profile().place == TerminalPlace()
    place = TerminalPlace(city=b"\x33\x10", station="0101", direction=Direction.IN)
    issuer.terms = replace(TERMS, rules=ModeRules(again_seconds=9))
    whole = claims_of(issuer.document())["profile"]
    told = issuer.document(profile=whole | {"place": place.to_document()})
    opened = open_profile(told, pins_of(issuer.jwks()), TERMINAL_ID)
    assert (opened.place, opened.terms.rules.again_seconds) == (place, 9)
    older = {**whole["terms"]}
    del older["rules"]
    opened = open_profile(
        issuer.document(profile=whole | {"terms": older}), pins_of(issuer.jwks()), TERMINAL_ID
    )
    assert (opened.place, opened.terms.rules) == (TerminalPlace(), ModeRules())
    for wrong in ({"station": 1}, {"direction": ["in"]}, "here", {"gate": "1"}):
        with pytest.raises(TerminalFault, match="profile_malformed"):
            open_profile(
                issuer.document(profile=whole | {"place": wrong}),
                pins_of(issuer.jwks()),
                TERMINAL_ID,
            )


def claims_of(document: str) -> dict[str, Any]:
    body = document.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def test_a_profile_that_forgets_who_signed_it_is_not_kept(home: Path, issuer: Issuer) -> None:
    keeper = keeper_of(home, issuer)
    kept = keeper.refresh()
    issuer.version += 1
    strangers = Issuer().jwks()
    issuer.document = lambda: Issuer.document(issuer, keys=strangers)  # type: ignore[method-assign]
    assert refused(keeper) == "profile_key_unknown"
    assert keeper_of(home, issuer).find_kept() == kept


def test_an_altered_document_is_refused(issuer: Issuer) -> None:
    head, body, signature = issuer.document().split(".")
    other = Issuer.document(issuer, exp=NOW + 9_000).split(".")[1]
    with pytest.raises(TerminalFault) as fault:
        open_profile(f"{head}.{other}.{signature}", pins_of(issuer.jwks()), TERMINAL_ID)
    assert fault.value.code == "profile_altered"
    assert open_profile(f"{head}.{body}.{signature}", pins_of(issuer.jwks()), TERMINAL_ID)


@pytest.mark.parametrize("damage", ["cut", "changed", "swapped", "empty"])
def test_a_damaged_file_says_so(home: Path, issuer: Issuer, damage: str) -> None:
    keeper_of(home, issuer).refresh()
    path = home / PROFILE_FILE
    raw = path.read_bytes()
    kept = json.loads(raw)
    path.write_bytes(
        {
            "cut": raw[: len(raw) // 2],
            "changed": raw.replace(kept["document"][60:70].encode(), b"A" * 10),
            "swapped": json.dumps({**kept, "keys": Issuer().jwks()}).encode(),
            "empty": b"",
        }[damage]
    )
    for act in (ProfileKeeper.find_kept, ProfileKeeper.refresh, ProfileKeeper.pins):
        with pytest.raises(TerminalFault) as fault:
            act(keeper_of(home, issuer))
        assert fault.value.code == "state_damaged"
    assert keeper_of(home, issuer).pin_anew().version == 4
