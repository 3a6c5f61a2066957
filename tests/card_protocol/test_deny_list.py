"""Goal: a deny list is exactly a set of numbers, small and quick, and believes only the issuer."""

from __future__ import annotations

import random
import sys
import time
from array import array
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from card_protocol.deny_list import (
    ALTERED_CODE,
    COUNT_CODE,
    GAP_CODE,
    KEY_CODE,
    NUMBER_CODE,
    SKEW_SECONDS,
    STALE_CODE,
    U64_MAX,
    Changes,
    DenyKind,
    DenyList,
    DenyPart,
    number_value,
)
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.signatures import compressed_point, sign

KEY = ec.derive_private_key(0xDE1157, ec.SECP256R1())
NAME = bytes(range(32))
PINS = {NAME: compressed_point(KEY.public_key())}
NOW = 1_790_000_000


def part(since: int, upto: int, **changes: object) -> DenyPart:
    plain = DenyPart(
        key_name=NAME,
        since=since,
        upto=upto,
        head=upto + 1,
        issued_at=NOW,
        tokens_total=0,
        purses_total=0,
    )
    return replace(plain, **changes)


def changes(before: set[int], after: set[int]) -> Changes:
    return Changes(tuple(sorted(after - before)), tuple(sorted(before - after)))


NUMBERS = st.sets(st.one_of(st.integers(0, 30), st.integers(U64_MAX - 3, U64_MAX)), max_size=20)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8))
def test_any_changes_make_what_they_say(states: list[tuple[set[int], set[int]]]) -> None:
    """Goal: against a Python set, for both kinds at once, after any order of changes."""
    have, before = DenyList(), (set(), set())
    for version, after in enumerate(states, start=1):
        tokens, purses = (changes(a, b) for a, b in zip(before, after, strict=True))
        have = have.applied(
            part(
                version - 1,
                version,
                head=version,
                tokens=tokens,
                purses=purses,
                tokens_total=len(after[0]),
                purses_total=len(after[1]),
            )
        )
        assert (set(have.tokens), set(have.purses)) == after
        for value in range(31):
            assert have.is_denied(DenyKind.TOKEN, f"{value:019d}") == (value in after[0])
            assert have.is_denied(DenyKind.PURSE, f"{value:020d}") == (value in after[1])
        before = after


def test_telling_again_changes_nothing() -> None:
    once = DenyList().applied(part(0, 1, tokens=Changes((1, 5, 9))))
    again = once.applied(part(1, 2, tokens=Changes((5,), (7,))))
    assert list(again.tokens) == [1, 5, 9]


def test_a_list_begins_anew_from_zero() -> None:
    old = DenyList(50, NOW, array("Q", [1, 2, 3]))
    fresh = old.applied(part(0, 4, tokens=Changes((8,))))
    assert (fresh.version, list(fresh.tokens)) == (4, [8])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"since": 9, "upto": 12, "head": 12}, GAP_CODE),
        ({"since": 11, "upto": 12, "head": 12}, GAP_CODE),
        ({"issued_at": NOW - SKEW_SECONDS - 1}, STALE_CODE),
        ({"since": 0, "issued_at": NOW - SKEW_SECONDS - 1}, STALE_CODE),
        ({"upto": 12, "head": 12, "tokens_total": 4}, COUNT_CODE),
        ({"upto": 12, "head": 12, "tokens_total": 3, "purses_total": 1}, COUNT_CODE),
    ],
)
def test_what_does_not_follow_is_refused(wrong: dict[str, int], code: str) -> None:
    have = DenyList(10, NOW, array("Q", [1, 2, 3]))
    assert have.applied(part(10, 12, head=12, tokens_total=3)).version == 12
    with pytest.raises(CodeRefused) as refused:
        have.applied(replace(part(10, 12), **wrong))
    assert refused.value.code == code


def test_only_the_issuer_speaks() -> None:
    signed = part(0, 1, tokens=Changes((4,))).signed_by(lambda body: sign(KEY, body))
    signed.require_signed(PINS)
    DenyPart.decode(signed.encode()).require_signed(PINS)
    body = bytearray(signed.encode())
    for place in range(5, len(body), 7):  # every field at least once
        altered = bytearray(body)
        altered[place] ^= 1
        try:
            found = DenyPart.decode(bytes(altered))
        except MalformedBytes:
            continue
        with pytest.raises(CodeRefused) as refused:
            found.require_signed(PINS)
        assert refused.value.code in {ALTERED_CODE, KEY_CODE}
    with pytest.raises(CodeRefused, match=KEY_CODE):
        signed.require_signed({})
    with pytest.raises(CodeRefused, match=ALTERED_CODE):  # not for another purpose
        replace(signed, signature=sign(KEY, signed.encode()[:-64])).require_signed(PINS)


@pytest.mark.parametrize(
    "numbers", [((2, 1), ()), ((1, 1), ()), ((1,), (1,)), ((-1,), ()), ((U64_MAX + 1,), ())]
)
def test_changes_are_in_order(numbers: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(MalformedBytes):
        Changes(*numbers)


@pytest.mark.parametrize(
    ("kind", "digits"),
    [
        (DenyKind.TOKEN, "1" * 18),
        (DenyKind.TOKEN, "1" * 20),
        (DenyKind.TOKEN, "１" * 19),
        (DenyKind.PURSE, "1" * 19),
        (DenyKind.PURSE, "f" * 20),
        (DenyKind.PURSE, "2" + "0" * 19),
        (DenyKind.PURSE, str(U64_MAX + 1)),
    ],
)
def test_what_is_no_number_is_never_looked_up(kind: DenyKind, digits: str) -> None:
    with pytest.raises(MalformedBytes) as refused:
        DenyList().is_denied(kind, digits)
    assert refused.value.code == NUMBER_CODE
    assert number_value(DenyKind.PURSE, str(U64_MAX)) == U64_MAX


def figures(entries: int) -> dict[str, float]:
    """What a list of so many numbers costs; a bench prints it, the test bounds it widely."""
    dice = random.Random(7)
    numbers = sorted({dice.randrange(6 * 10**18, 7 * 10**18) for _ in range(entries)})
    have = DenyList(1, NOW, array("Q", numbers))
    asked = [f"{dice.choice(numbers) + (i & 1):019d}" for i in range(20_000)]
    started = time.perf_counter()
    found = sum(have.is_denied(DenyKind.TOKEN, digits) for digits in asked)
    look_up = (time.perf_counter() - started) / len(asked)
    assert found >= len(asked) // 2
    fresh = {dice.randrange(6 * 10**18, 7 * 10**18) for _ in range(10_000)} - set(numbers)
    delta = part(1, 2, tokens=Changes(tuple(sorted(fresh)), tuple(numbers[:: entries // 5_000])))
    started = time.perf_counter()
    have.applied(delta)
    apply = time.perf_counter() - started
    size = sys.getsizeof(have.tokens)
    return {
        "look_up_us": look_up * 1e6,
        "delta_10k_ms": apply * 1e3,
        "memory_mb": size / 1e6,
    }


def test_figures_are_of_the_right_kind() -> None:
    """Goal: a list that became a Python set, or a scan, is seen at once; times are the bench's."""
    measured = figures(200_000)
    sys.stdout.write(f"{measured}\n")
    assert measured["memory_mb"] < 16 / 5
    assert measured["look_up_us"] < 200
