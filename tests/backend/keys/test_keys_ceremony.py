"""Dual control: keys by parts, each from another person, and the trail of all that was done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from keys_world import NOW, Files, plain_keys

from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys
from backend.keys.admin import KeyAdmin
from backend.keys.ceremony import OPEN_FOR, Ceremonies
from backend.keys.handles import software_handle
from backend.keys.model import KeysRefused, KeyState
from backend.keys.secret import Secret
from backend.keys.trail import Act, Trail

REF = KeyRef.PURCHASE_3DES
STAFF = ("li", "wang", "zhao")


def _check_value(key: bytes, ref: KeyRef = REF) -> bytes:
    return software_handle(ref.algorithm, key).check_value()


def _parts(key: bytes, count: int) -> list[bytes]:
    """Random parts whose XOR is the key."""
    parts = [os.urandom(len(key)) for _ in range(count - 1)]
    last = key
    for part in parts:
        last = bytes(a ^ b for a, b in zip(last, part, strict=True))
    return [*parts, last]


KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")


@pytest.fixture
def ceremonies(admin: KeyAdmin) -> Ceremonies:
    return Ceremonies(admin)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("ref", [REF, KeyRef.LOAD_SM4, KeyRef.TOKEN_MASTER], ids=lambda r: r.name)
def test_parts_from_different_people_make_the_key(
    own: SoftwareKeys, ceremonies: Ceremonies, ref: KeyRef, count: int
) -> None:
    ceremonies.begin("li", ref, count, _check_value(KEY, ref))
    parts = _parts(KEY, count)
    for who, part in zip(STAFF, parts[:-1], strict=False):
        ceremony, made = ceremonies.add(who, ref, Secret(part), _check_value(part, ref))
        assert made is None
    ceremony, made = ceremonies.add(
        STAFF[count - 1], ref, Secret(parts[-1]), _check_value(parts[-1], ref)
    )
    assert made is not None
    assert (made.state, made.number) == (KeyState.ANNOUNCED, 2)
    assert made.check_value == _check_value(KEY, ref).hex()
    assert [one.who for one in ceremony.components] == list(STAFF[:count])
    assert plain_keys(own)[ref] == KEY
    assert ceremonies.admin.contents().ceremonies == ()
    assert ceremonies.admin.rotate("li", ref).number == 2


@pytest.mark.parametrize("again", ["li", "LI", "Li"])
def test_one_person_enters_one_part(ceremonies: Ceremonies, again: str) -> None:
    first, second = _parts(KEY, 2)
    ceremonies.begin("wang", REF, 2, _check_value(KEY))
    ceremonies.add("li", REF, Secret(first), _check_value(first))
    with pytest.raises(KeysRefused, match="has entered a part already"):
        ceremonies.add(again, REF, Secret(second), _check_value(second))
    assert ceremonies.add("wang", REF, Secret(second), _check_value(second))[1] is not None


Try = Callable[[Ceremonies], object]
WEAK = bytes(8) * 2
REFUSED: dict[str, tuple[Try, str]] = {
    "four parts": (lambda c: c.begin("li", REF, 4, b"\1\2\3"), "2 or 3 parts, not 4"),
    "one part": (lambda c: c.begin("li", REF, 1, b"\1\2\3"), "2 or 3 parts, not 1"),
    "a key pair": (lambda c: c.begin("li", KeyRef.LEDGER_SEAL, 2, b"\1"), "is a key pair"),
    "a fixed key": (lambda c: c.begin("li", KeyRef.PII_INDEX, 2, b"\1"), "one version only"),
    "no ceremony": (
        lambda c: c.add("li", KeyRef.TAC_SM4, Secret(KEY), b"\1"),
        "issuer-tac/sm4: no ceremony is open",
    ),
    "nothing to abandon": (lambda c: c.abandon("li", KeyRef.TAC_SM4), "no ceremony is open"),
    "begun twice": (lambda c: c.begin("wang", REF, 2, b"\1\2\3"), "is coming in already"),
    "a short part": (lambda c: c.add("li", REF, Secret(KEY[:8]), b"\1"), "has 8 bytes"),
    "mistyped": (
        lambda c: c.add("li", REF, Secret(KEY), b"\1\2\3"),
        "the part has another key check value than 010203",
    ),
    "a part of zeros": (
        lambda c: c.add("li", REF, Secret(WEAK), _check_value(WEAK)),
        "anybody would guess",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(ceremonies: Ceremonies, case: str) -> None:
    act, sentence = REFUSED[case]
    ceremonies.begin("wang", REF, 2, _check_value(KEY))
    before = ceremonies.admin.contents()
    with pytest.raises(KeysRefused, match=sentence) as refused:
        act(ceremonies)
    assert KEY.hex() not in str(refused.value).lower()
    assert ceremonies.admin.contents() == before


def test_parts_of_another_key_are_all_forgotten(ceremonies: Ceremonies) -> None:
    first, second = _parts(bytes(range(16)), 2)
    ceremonies.begin("li", REF, 2, _check_value(KEY))
    ceremonies.add("li", REF, Secret(first), _check_value(first))
    with pytest.raises(KeysRefused, match="the parts are forgotten, begin anew"):
        ceremonies.add("wang", REF, Secret(second), _check_value(second))
    contents = ceremonies.admin.contents()
    assert contents.ceremonies == ()
    assert [one.number for one in contents.of(REF)] == [1]


def test_two_equal_parts_make_no_key(ceremonies: Ceremonies) -> None:
    """Their XOR is all zeros: whoever agreed on that would know the key."""
    ceremonies.begin("li", REF, 2, _check_value(WEAK))
    ceremonies.add("li", REF, Secret(KEY), _check_value(KEY))
    with pytest.raises(KeysRefused, match="the whole key is one that anybody would guess"):
        ceremonies.add("wang", REF, Secret(KEY), _check_value(KEY))


def test_what_is_not_finished_ends(ceremonies: Ceremonies, clock: ManualClock) -> None:
    first, second = _parts(KEY, 2)
    ceremonies.begin("li", REF, 2, _check_value(KEY))
    ceremonies.add("li", REF, Secret(first), _check_value(first))
    clock.advance(OPEN_FOR - timedelta(seconds=1))
    assert ceremonies.admin.contents().ceremonies
    clock.advance(timedelta(seconds=1))
    with pytest.raises(KeysRefused, match="no ceremony is open"):
        ceremonies.add("wang", REF, Secret(second), _check_value(second))
    ceremonies.begin("wang", REF, 3, _check_value(KEY))
    assert [one.parts for one in ceremonies.admin.contents().ceremonies] == [3]
    acts = [line.act for line in ceremonies.admin.trail()]
    assert acts[-2:] == ["ceremony-expired", "ceremony-begin"]


def test_neither_parts_nor_key_lie_anywhere_in_the_clear(
    ceremonies: Ceremonies, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = _parts(KEY, 2)
    secrets = [KEY, *parts]
    ceremonies.begin("li", REF, 2, _check_value(KEY))

    def found() -> list[Path]:
        texts = {path: path.read_bytes() for path in files[0].parent.iterdir()}
        texts[Path("output")] = "".join(capsys.readouterr()).encode()
        forms = [form for one in secrets for form in (one, one.hex().encode())]
        return [path for path, text in texts.items() for form in forms if form in text.lower()]

    for who, part in zip(STAFF, parts, strict=False):
        ceremonies.add(who, REF, Secret(part), _check_value(part))
        assert found() == []
    files[0].with_name("planted").write_text(KEY.hex().upper())
    assert found()  # the search itself can find


# --- the trail --------------------------------------------------------------------------------


def _three_acts(admin: KeyAdmin) -> Path:
    admin.rotate("li", KeyRef.ACCESS_TOKENS)
    admin.announce("wang", KeyRef.ISSUER_SIGNING)
    admin.retire("li", KeyRef.ACCESS_TOKENS, 1, understood=True)
    return Trail(admin.vault.store).path


def test_every_act_is_told_with_who_when_and_what(admin: KeyAdmin) -> None:
    _three_acts(admin)
    assert [(line.who, line.act, line.key) for line in admin.trail()] == [
        ("li", "rotate", "access-tokens/es256/2"),
        ("wang", "announce", "issuer-signing/es256/2"),
        ("li", "retire", "access-tokens/es256/1"),
    ]
    assert {line.at for line in admin.trail()} == {NOW.isoformat()}


DAMAGE: dict[str, Callable[[list[str]], list[str]]] = {
    "the last line cut off": lambda lines: lines[:-1],
    "the first line cut off": lambda lines: lines[1:],
    "a line taken out": lambda lines: [lines[0], lines[2]],
    "two lines exchanged": lambda lines: [lines[1], lines[0], lines[2]],
    "another name": lambda lines: [lines[0].replace('"li"', '"wu"'), *lines[1:]],
    "another number": lambda lines: [*lines[:2], lines[2].replace('"number": 3', '"number": 4')],
    "a line twice": lambda lines: [*lines, lines[2]],
    "no line": lambda lines: [],
    "not JSON": lambda lines: [*lines[:2], "{"],
}


@pytest.mark.parametrize("case", DAMAGE)
def test_an_edited_trail_is_found_out_and_nothing_goes_on(admin: KeyAdmin, case: str) -> None:
    path = _three_acts(admin)
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in DAMAGE[case](lines)))
    before = admin.contents()
    with pytest.raises(KeysRefused, match=r"^trail: "):
        admin.trail()
    with pytest.raises(KeysRefused, match=r"^trail: "):
        admin.rotate("li", KeyRef.PII_CIPHER)
    assert admin.contents() == before


def test_an_act_that_a_crash_stopped_is_told_as_not_done(
    admin: KeyAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is on disk before the store is: power may go in between."""
    admin.rotate("li", KeyRef.ACCESS_TOKENS)
    with monkeypatch.context() as patched:
        patched.setattr("backend.keys.store.files.replace", _no_power)
        with pytest.raises(OSError, match="no power"):
            admin.rotate("wang", KeyRef.PII_CIPHER)
    assert len(admin.contents().of(KeyRef.PII_CIPHER)) == 1
    admin.rotate("li", KeyRef.PII_CIPHER)
    assert [(line.act, line.key, line.note) for line in admin.trail()][1:] == [
        ("rotate", "pii-cipher/aes256gcm/2", ""),
        ("not-done", "pii-cipher/aes256gcm/2", "line 2 was not carried out"),
        ("rotate", "pii-cipher/aes256gcm/2", ""),
    ]


def _no_power(path: Path, content: bytes) -> None:
    raise OSError("no power")


def test_a_half_written_last_line_is_dropped(admin: KeyAdmin) -> None:
    path = _three_acts(admin)
    with path.open("a") as file:
        file.write('{"number": 4, "who')
    assert len(admin.trail()) == 3
    admin.rotate("li", KeyRef.PII_CIPHER)
    assert [line.number for line in admin.trail()] == [1, 2, 3, 4]


def test_a_trail_of_another_store_does_not_fit(admin: KeyAdmin, tmp_path: Path) -> None:
    path = _three_acts(admin)
    other = SoftwareKeys.make(tmp_path / "other" / "keystore.json", tmp_path / "other" / "kek")
    stranger = Trail(other.vault.store)
    for _ in range(3):
        stranger.tell(other.vault.store.read(), NOW, Act("mallory", "rotate", "x"))
    assert len(json.loads(path.read_text().splitlines()[0])["mac"]) == 64
    path.write_bytes(stranger.path.read_bytes())
    with pytest.raises(KeysRefused, match=r"line 1 .* was changed"):
        admin.trail()
