"""bench-reader: decisions and ride codes count when they are right, each timed by itself."""

from __future__ import annotations

import io
import time
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from card_protocol.deny_list import DenyKind, DenyList
from reader_bridge.codes import decode_picture_bytes
from tools.benches.reader_decide import LOOK_UP, NEW, Case, TimedPasses, decision_subjects
from tools.benches.reader_rides import FRAMES, HEIGHT, WIDTH, ride_subject
from tools.benches.reader_world import make_deny_list, make_profile
from tools.benches.rounds import run_once

NOW = int(time.time())
DENIED = 1_000


def _blank() -> bytes:
    body = io.BytesIO()
    Image.new("L", (WIDTH, HEIGHT), 128).save(body, "PNG")
    return body.getvalue()


BLANK = _blank()


@pytest.fixture(scope="module")
def deny_list(tmp_path_factory: pytest.TempPathFactory) -> DenyList:
    return make_deny_list(tmp_path_factory.mktemp("list"), NOW, DENIED)


def test_the_deny_list_is_whole_and_ascending(deny_list: DenyList) -> None:
    for kind in DenyKind:
        numbers = list(deny_list.numbers(kind))
        assert len(set(numbers)) == DENIED
        assert numbers == sorted(numbers)
    assert all(len(str(one)) == 19 for one in deny_list.tokens)


def test_decisions_are_counted_when_they_are_right(deny_list: DenyList) -> None:
    subjects = {one.name: one for one in decision_subjects(deny_list, NOW, cards=2)}
    for subject in subjects.values():
        seen = run_once(subject, 0.001)
        assert seen.acknowledged % len(subject.cases) == 0
        assert seen.times is not None
        assert (seen.times.p99_ms or 0) > 0
    asked = [one for one in subjects[LOOK_UP].cases if isinstance(one, tuple)]
    assert {is_listed for _, is_listed in asked} == {True, False}
    case = subjects[NEW].cases[0]
    assert isinstance(case, Case)
    forged = replace(case, profile=make_profile(NOW, bytes(33)))
    seen = replace(subjects[NEW], cases=[case, forged]).run(0.001)
    assert seen.found * 2 == seen.acknowledged


def test_passes_time_each_case_by_itself() -> None:
    now_ns, costs = [100], [1_000, 3_000, 5_000]

    def check(spent_ns: int) -> bool:
        now_ns[0] += spent_ns
        return spent_ns > 1_000

    seen = TimedPasses("three", costs, lambda: check, lambda: now_ns[0]).run(10e-6)
    assert (seen.acknowledged, seen.found) == (6, 4)  # 9 µs are not yet 10
    assert seen.seconds == pytest.approx(18e-6)
    assert seen.times is not None
    assert (seen.times.p50_ms, seen.times.p95_ms) == (0.003, 0.005)


def test_ride_codes_are_read_from_a_camera_picture(deny_list: DenyList, tmp_path: Path) -> None:
    subject = ride_subject(deny_list, NOW, 4, tmp_path)
    frames = [frame for shown in subject.phones for frame in shown.frames]
    kinds = set()
    for frame in frames:
        with Image.open(io.BytesIO(frame)) as opened:
            assert opened.size == (WIDTH, HEIGHT)
            kinds.add(opened.format)
    assert kinds == {"PNG", "JPEG"}
    assert len(set(frames)) == 4 * FRAMES
    assert sum(len(decode_picture_bytes(frame)) == 1 for frame in frames) > 2 * FRAMES
    seen = run_once(subject, 0.001)
    assert seen.acknowledged == 4
    first, second, third, fourth = subject.phones
    shown = [
        first,
        first,  # used before
        replace(second, card_number=first.card_number),  # another's
        replace(third, frames=(BLANK, *third.frames)),  # the next picture is looked at
        replace(fourth, frames=(BLANK, BLANK)),
    ]
    wrong = replace(subject, phones=shown).run(0.001)
    assert (wrong.acknowledged, wrong.found) == (5, 2)


def test_a_ride_on_the_deny_list_is_not_counted(deny_list: DenyList, tmp_path: Path) -> None:
    subject = ride_subject(deny_list, NOW, 2, tmp_path)
    denying = replace(deny_list, tokens=array("Q", [int(subject.phones[0].card_number)]))
    seen = replace(subject, deny_list=denying).run(0.001)
    assert (seen.acknowledged, seen.found) == (2, 1)
