"""Goal: the deny list follows its sources, and a terminal that asks in any way ends up with it."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import select
from sqlalchemy.event import listen, remove

from backend.db import Event, Operation, Units, Which, Work
from backend.db.operations import Answer
from backend.kernel import ManualClock
from backend.keys import KeyRef, SoftwareKeys, key_thumbprint
from backend.transit import DenyLists, DenyListUpkeep, SweepDenyList, Swept
from backend.transit.tables import deny_entry
from card_protocol.deny_list import DenyKind, DenyList, DenyPart
from card_protocol.signatures import compressed_point

serial = count(1)


@dataclass
class Number:
    source_id: str
    number: str
    is_denied: bool = True
    ends_at: datetime | None = None


@dataclass
class Source:
    """A domain with numbers, in memory."""

    numbers: dict[str, Number] = field(default_factory=dict)

    def find(self, work: Work, source_id: str) -> Number | None:
        return self.numbers.get(source_id)

    def page(self, work: Work, after: str, limit: int) -> Sequence[Number]:
        ids = sorted(one for one in self.numbers if one > after)
        return [self.numbers[one] for one in ids[:limit]]

    def put(self, place: int, is_denied: bool, ends_at: datetime | None = None) -> str:
        source_id = f"tok_{place:04d}"
        self.numbers[source_id] = Number(source_id, f"{place:019d}", is_denied, ends_at)
        return source_id


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def lists(units: Units, keys: SoftwareKeys, source: Source) -> DenyLists:
    return DenyLists(units, keys, {DenyKind.TOKEN: source}, part_changes_max=7)


def heard(lists: DenyLists, source_id: str) -> None:
    payload = {"token_id": source_id}
    lists.hear_token(Event("evt_1", "token_changed", payload, lists.units.clock.now(), 0))


def sweep(lists: DenyLists, kind: DenyKind = DenyKind.TOKEN, **changes: object) -> Swept:
    operation = Operation("test", f"k{next(serial)}", {}, lambda _: Answer(200, ""))
    return lists.sweep(replace(SweepDenyList(kind, "", 1_000), **changes), operation)


def fetched(lists: DenyLists, have: DenyList, keys: SoftwareKeys) -> DenyList:
    """What a terminal does: parts until the head, each checked."""
    pins = {
        base64.urlsafe_b64decode(key_thumbprint(key) + "="): compressed_point(key)
        for key in keys.public_keys(KeyRef.TERMINAL_PROFILE).values()
    }
    begun = 0
    for _ in range(100):
        told = lists.part(have.version, begun)
        part = DenyPart.decode(told.part)
        part.require_signed(pins)
        assert (part.since, part.upto, part.head) == (told.since, told.upto, told.head)
        begun = part.head if part.since == 0 else begun
        have = have.applied(part)
        if part.is_last:
            return have
    raise AssertionError("no end")


def denied(source: Source) -> list[int]:
    return sorted(int(one.number) for one in source.numbers.values() if one.is_denied)


def test_nothing_is_denied_at_first(lists: DenyLists, keys: SoftwareKeys) -> None:
    told = fetched(lists, DenyList(), keys)
    assert (told.version, list(told.tokens), lists.version()) == (0, [], 0)
    assert told.as_of == int(lists.units.clock.now().timestamp())


def test_an_event_heard_twice_or_late_changes_nothing(
    lists: DenyLists, source: Source, keys: SoftwareKeys
) -> None:
    heard(lists, source.put(1, True))
    heard(lists, "tok_0001")
    assert lists.version() == 1
    heard(lists, source.put(1, False))
    heard(lists, "tok_0001")  # the one of the loss report, late: what counts is how it is now
    assert lists.version() == 2
    heard(lists, source.put(2, False))
    heard(lists, "tok_9999")
    assert lists.version() == 2
    assert list(fetched(lists, DenyList(), keys).tokens) == []


def test_terminals_of_any_age_agree(
    lists: DenyLists, source: Source, keys: SoftwareKeys, clock: ManualClock
) -> None:
    """Goal: whoever asks after each change, seldom, or for the first time has the same list."""
    dice = random.Random(5)
    often, seldom = DenyList(), DenyList()
    for step in range(120):
        heard(lists, source.put(dice.randrange(40), dice.random() < 0.6))
        clock.advance(timedelta(seconds=1))
        often = fetched(lists, often, keys)
        assert list(often.tokens) == denied(source)
        if step % 40 == 39:
            seldom = fetched(lists, seldom, keys)
    assert list(seldom.tokens) == list(fetched(lists, DenyList(), keys).tokens) == denied(source)
    assert often.version == seldom.version == lists.version()


def test_a_sweep_finds_what_no_event_told(
    lists: DenyLists, source: Source, keys: SoftwareKeys, clock: ManualClock
) -> None:
    for place in range(25):
        source.put(place, place % 2 == 0)
    first = sweep(lists, limit=10)
    assert (first.changed, first.next) == (5, "tok_0009")
    second = sweep(lists, limit=10, after=first.next)
    third = sweep(lists, limit=10, after=second.next)
    assert (second.changed, third.changed, third.next) == (5, 3, None)
    assert sweep(lists).changed == 0
    assert list(fetched(lists, DenyList(), keys).tokens) == denied(source)
    assert sweep(lists, DenyKind.PURSE) == Swept(0, 0, None)  # no source of purses here


def test_a_purse_is_heard_as_a_token_is(units: Units, keys: SoftwareKeys, source: Source) -> None:
    """Goal: the two kinds stay apart, though the source is of one make."""
    lists = DenyLists(units, keys, {DenyKind.PURSE: source})
    source.numbers["p1"] = Number("p1", f"{7:020d}")
    event = Event("evt_1", "purse_changed", {"purse_number": "p1"}, units.clock.now(), 0)
    for _ in range(2):
        lists.hear_purse(event)
    have = fetched(lists, DenyList(), keys)
    assert (list(have.tokens), list(have.purses), have.version) == ([], [7], 1)
    source.numbers["p1"].is_denied = False
    lists.hear_purse(event)
    assert list(fetched(lists, have, keys).purses) == []


def test_the_upkeep_walks_through_all_sources(
    units: Units, keys: SoftwareKeys, source: Source
) -> None:
    """Goal: a bounded page a turn, every source in a row, and again from the start."""
    purses = Source({f"p{n}": Number(f"p{n}", f"{n:020d}") for n in range(3)})
    lists = DenyLists(units, keys, {DenyKind.TOKEN: source, DenyKind.PURSE: purses})
    for place in range(5):
        source.put(place, True)
    upkeep = DenyListUpkeep(lists, page_max=2)
    turns = [upkeep.turn() for _ in range(5)]  # pages of 2, 2, 1 tokens and 2, 1 purses
    assert turns == [False, False, False, False, True]
    have = fetched(lists, DenyList(), keys)
    assert (list(have.tokens), list(have.purses)) == (denied(source), [0, 1, 2])
    del source.numbers["tok_0004"]
    source.put(0, False)
    assert upkeep.turn() is False
    assert list(fetched(lists, have, keys).tokens) == [1, 2, 3, 4]


def test_a_page_is_one_question(lists: DenyLists, source: Source, units: Units) -> None:
    """Goal: a sweep that finds nothing asks as often for 1 number as for 200."""

    def statements() -> int:
        asked: list[str] = []
        engine = units.databases[Which.BUSINESS].engine
        listen(engine, "before_cursor_execute", hook := lambda *told: asked.append(told[2]))
        assert sweep(lists).changed == 0
        remove(engine, "before_cursor_execute", hook)
        return len(asked)

    heard(lists, source.put(0, True))
    first = statements()
    for place in range(1, 200):
        source.put(place, False)
    assert statements() == first


def test_a_card_that_ended_leaves_the_list(
    lists: DenyLists, source: Source, keys: SoftwareKeys, clock: ManualClock
) -> None:
    heard(lists, source.put(1, True, clock.now() + timedelta(days=10)))
    heard(lists, source.put(2, True))
    clock.advance(timedelta(days=10, hours=12))
    assert sweep(lists).changed == 0
    clock.advance(timedelta(days=1))
    assert sweep(lists).changed == 1
    assert list(fetched(lists, DenyList(), keys).tokens) == [2]


def test_after_a_gap_comes_the_whole_list(
    lists: DenyLists, units: Units, source: Source, keys: SoftwareKeys, clock: ManualClock
) -> None:
    """Goal: who missed a release that is forgotten begins anew, and gets to the end of it."""
    for place in range(20):
        heard(lists, source.put(place, True))
    away = fetched(lists, DenyList(), keys)
    for place in range(0, 20, 2):
        heard(lists, source.put(place, False))
    clock.advance(timedelta(days=36))
    assert sweep(lists).forgotten == 10
    with units.read(Which.BUSINESS) as work:
        assert len(work.execute(select(deny_entry)).all()) == 10
    assert lists.part(away.version).since == 0
    back = fetched(lists, away, keys)
    assert list(back.tokens) == denied(source)
    heard(lists, source.put(0, True))
    assert lists.part(back.version).since == back.version
    assert list(fetched(lists, back, keys).tokens) == denied(source)


def test_who_is_ahead_of_us_begins_anew(
    lists: DenyLists, source: Source, keys: SoftwareKeys
) -> None:
    """Goal: a backup brought back does not leave terminals with what was never decided."""
    heard(lists, source.put(1, True))
    assert lists.part(50).since == 0
    ahead = DenyList(50, 0)
    assert list(fetched(lists, ahead, keys).tokens) == [1]


def test_equal_questions_have_equal_tags(lists: DenyLists, source: Source) -> None:
    heard(lists, source.put(1, True))
    first = lists.part(0)
    assert lists.part(0).tag == first.tag
    assert lists.part(1).tag != first.tag
    heard(lists, source.put(2, True))
    assert lists.part(0).tag != first.tag


def test_changes_at_once_are_told_in_order(
    lists: DenyLists, source: Source, keys: SoftwareKeys
) -> None:
    """Goal: no version is given twice, and a terminal that asks in between misses none."""
    for place in range(40):
        source.put(place, True)
    have = DenyList()
    with ThreadPoolExecutor(4) as pool:
        hearing = [pool.submit(heard, lists, f"tok_{place:04d}") for place in range(40)]
        while not all(one.done() for one in hearing):
            have = fetched(lists, have, keys)
        for one in hearing:
            one.result()
    have = fetched(lists, have, keys)
    assert have.version == lists.version() == 40
    assert list(have.tokens) == denied(source)
