"""Goal: the terminal's deny list is the issuer's, whatever was missed, cut or damaged."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from pathlib import Path

import pytest

from card_protocol.deny_list import Changes, DenyKind, DenyList, DenyPart
from card_protocol.signatures import sign
from reader_bridge.backend_client import Unreachable
from reader_bridge.deny_list import DenyListKeeper, DenyListStore
from reader_bridge.deny_list.store import LIST_FILE, SEAL_FILE
from reader_bridge.faults import TerminalFault
from tests.reader_bridge.profile_world import Issuer
from tests.reader_bridge.support import NOW


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def keeper_of(home: Path, issuer: Issuer) -> DenyListKeeper:
    return DenyListKeeper(DenyListStore(home), issuer.ask, issuer.pins)


def refused(keeper: DenyListKeeper) -> str:
    with pytest.raises(TerminalFault) as fault:
        keeper.refresh()
    return fault.value.text("en")


def test_any_life_ends_with_the_issuers_list(tmp_path: Path, issuer: Issuer) -> None:
    """Goal: changes, restarts, releases forgotten, lost answers: always the same set."""
    dice = random.Random(11)
    keeper = keeper_of(tmp_path, issuer)
    for _ in range(120):
        issuer.now += 1
        for _ in range(dice.randrange(6)):
            issuer.log.append((dice.randrange(25), dice.random() < 0.6))
        if dice.random() < 0.1:
            issuer.floor = len(issuer.log) // 2
        if dice.random() < 0.3:
            keeper = keeper_of(tmp_path, issuer)
        issuer.is_away = dice.random() < 0.2
        if issuer.is_away:
            with pytest.raises(Unreachable):
                keeper.refresh()
            continue
        have = keeper.refresh()
        assert list(have.tokens) == issuer.denied()
        assert (have.version, have.as_of) == (len(issuer.log), issuer.now)
        kept = keeper_of(tmp_path, issuer).find_kept()
        assert kept is not None
        assert (kept.version, kept.as_of) == (have.version, have.as_of)
        assert list(kept.tokens) == issuer.denied()


def test_an_unchanged_list_is_not_written_again(tmp_path: Path, issuer: Issuer) -> None:
    issuer.log = [(1, True), (2, True)]
    keeper = keeper_of(tmp_path, issuer)
    keeper.refresh()
    before = (tmp_path / LIST_FILE).stat().st_ino
    issuer.now += 500
    assert keeper.refresh().as_of == NOW + 500
    assert (tmp_path / LIST_FILE).stat().st_ino == before
    kept = keeper_of(tmp_path, issuer).find_kept()
    assert kept is not None
    assert kept.as_of == NOW + 500
    stranger = Issuer(now=NOW + 9_000, log=issuer.log)  # what it vouches for counts for nothing
    (tmp_path / SEAL_FILE).write_bytes(stranger.part(2, 0).encode())
    again = keeper_of(tmp_path, issuer).find_kept()
    assert again is not None
    assert again.as_of == NOW
    issuer.log, issuer.now = [*issuer.log, (3, True)], NOW + 900  # of a version not here
    (tmp_path / SEAL_FILE).write_bytes(issuer.part(3, 0).encode())
    behind = keeper_of(tmp_path, issuer).find_kept()
    assert behind is not None
    assert (behind.version, behind.as_of) == (2, NOW)


def test_an_empty_list_is_a_list(tmp_path: Path, issuer: Issuer) -> None:
    assert keeper_of(tmp_path, issuer).find_kept() is None
    assert keeper_of(tmp_path, issuer).refresh().version == 0
    kept = keeper_of(tmp_path, issuer).find_kept()
    assert kept is not None
    assert (kept.as_of, kept.is_denied(DenyKind.TOKEN, "0" * 19)) == (NOW, False)


def test_a_fetch_cut_short_leaves_the_old_list(tmp_path: Path, issuer: Issuer) -> None:
    issuer.log = [(1, True), (2, True)]
    keeper = keeper_of(tmp_path, issuer)
    old = keeper.refresh()
    issuer.log += [(number, True) for number in range(10, 30)]
    whole, left = issuer.ask, 3

    def cut(path: str, params: object = None) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unreachable("connection_lost", sent=True)
        return whole(path, params)  # type: ignore[arg-type]

    broken = DenyListKeeper(DenyListStore(tmp_path), cut, issuer.pins)  # type: ignore[arg-type]
    with pytest.raises(Unreachable):
        broken.refresh()
    found = broken.find_kept()
    assert found is not None
    assert list(found.tokens) == [1, 2]
    assert list(old.tokens) == [1, 2]  # still readable, though newer files were begun
    assert list(keeper_of(tmp_path, issuer).refresh().tokens) == issuer.denied()


@pytest.mark.parametrize("place", [0, 9, 20, 40, 70, -40, -1])
def test_one_wrong_byte_is_found(tmp_path: Path, issuer: Issuer, place: int) -> None:
    issuer.log = [(number, True) for number in range(9)]
    keeper_of(tmp_path, issuer).refresh()
    path = tmp_path / LIST_FILE
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0x10
    path.write_bytes(raw)
    keeper = keeper_of(tmp_path, issuer)
    with pytest.raises(TerminalFault) as fault:
        keeper.find_kept()
    assert fault.value.code == "deny_list_damaged"
    assert list(keeper.refresh().tokens) == issuer.denied()
    assert issuer.asked[-3][1]["since"] == "0"


@pytest.mark.parametrize("size", [0, 10, 64, 96, 150])
def test_a_file_of_another_length_is_found(tmp_path: Path, issuer: Issuer, size: int) -> None:
    issuer.log = [(number, True) for number in range(9)]
    keeper_of(tmp_path, issuer).refresh()
    path = tmp_path / LIST_FILE
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(TerminalFault, match="deny_list_damaged"):
        keeper_of(tmp_path, issuer).find_kept()


def test_only_the_issuers_parts_count(tmp_path: Path, issuer: Issuer) -> None:
    issuer.log = [(1, True)]
    keeper = keeper_of(tmp_path, issuer)
    keeper.refresh()
    stranger = Issuer(log=[(2, True), (3, True)])
    by_stranger = DenyListKeeper(DenyListStore(tmp_path), stranger.ask, issuer.pins)
    assert "deny_part_key_unknown" in refused(by_stranger)
    issuer.log.append((2, True))
    issuer.now = NOW - 3_600  # old bytes, played again
    assert "deny_part_stale" in refused(keeper)
    kept = keeper.find_kept()
    assert kept is not None
    assert list(kept.tokens) == [1]
    nonsense = DenyListKeeper(DenyListStore(tmp_path), lambda *_: {"part": "AAAA"}, issuer.pins)
    assert "deny_part_malformed" in refused(nonsense)


def test_a_list_that_went_astray_begins_anew(tmp_path: Path, issuer: Issuer) -> None:
    """Goal: a backend back from its backup counts other versions: the totals show it."""
    issuer.log = [(1, True), (2, True), (3, True)]
    keeper_of(tmp_path, issuer).refresh()
    issuer.log = [(1, True), (2, True), (2, False), (9, True)]
    issuer.now += 10
    assert list(keeper_of(tmp_path, issuer).refresh().tokens) == [1, 9]
    issuer.log = [(5, True)]  # and lower versions than ours
    issuer.now += 10
    assert list(keeper_of(tmp_path, issuer).refresh().tokens) == [5]


def test_a_whole_list_is_fetched_past_what_was_forgotten(tmp_path: Path, issuer: Issuer) -> None:
    """Goal: who begins anew while old releases are forgotten gets to the end in one go."""
    issuer.log = [(number, True) for number in range(30)]
    issuer.floor = 20
    assert list(keeper_of(tmp_path, issuer).refresh().tokens) == issuer.denied()
    assert [asked["since"] for _, asked in issuer.asked[:3]] == ["0", "3", "6"]
    assert len(issuer.asked) == 10


def test_as_many_versions_of_another_list_are_not_ours(tmp_path: Path, issuer: Issuer) -> None:
    issuer.log = [(1, True), (2, True)]
    keeper = keeper_of(tmp_path, issuer)
    keeper.refresh()
    issuer.log = [(1, True), (1, False)]
    assert list(keeper.refresh().tokens) == []


def test_a_part_that_leads_nowhere_ends_the_fetch(tmp_path: Path, issuer: Issuer) -> None:
    issuer.log = [(number, True) for number in range(9)]
    issuer.part_changes_max = 0
    issuer.part = lambda since, begun: signed_idle(issuer)  # type: ignore[method-assign]
    assert "no_progress" in refused(keeper_of(tmp_path, issuer))


def signed_idle(issuer: Issuer) -> DenyPart:
    return DenyPart(
        key_name=next(iter(issuer.pins())),
        since=0,
        upto=0,
        head=9,
        issued_at=NOW,
        tokens_total=0,
        purses_total=0,
    ).signed_by(lambda body: sign(issuer.keys[0], body))


def test_a_delta_costs_little_memory(tmp_path: Path, issuer: Issuer) -> None:
    """Goal: neither the list nor a change of it is copied into this process."""
    store = DenyListStore(tmp_path)
    numbers = array("Q", range(10**18, 10**18 + 300_000))
    big = DenyList(1, NOW, numbers)

    def part(**values: object) -> DenyPart:
        plain = {"key_name": bytes(32), "since": 1, "upto": 2, "head": 3, "issued_at": NOW}
        totals = {"tokens_total": 0, "purses_total": 0}
        return DenyPart(**{**plain, **totals, **values})  # type: ignore[arg-type]

    kept = store.write(big, part())
    delta = part(since=2, upto=3, head=4, tokens=Changes(tuple(range(1_000)), ()))
    tracemalloc.start()
    after = store.write(kept, delta)
    assert after.is_denied(DenyKind.TOKEN, f"{10**18 + 299_999:019d}")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(after.tokens) == 301_000
    assert most < 1_000_000  # the numbers alone are 2.4 MB
