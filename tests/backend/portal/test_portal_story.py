"""The story's result file: every content is borne, and says what it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.portal.story import FILE_MAX_BYTES, RUNNING_MAX, STEPS_MAX, StoryState, read_story
from tests.backend.portal.conftest import STORY

NOW = datetime(2026, 11, 23, 2, 1, tzinfo=UTC)
STEP = STORY["steps"][0]


def put(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "story.json"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, StoryState.PASSED),
        ({"ok": False}, StoryState.FAILED),
        ({"ok": None}, StoryState.FAILED),
        ({"finished_at": None, "ok": None, "total_milliseconds": None}, StoryState.RUNNING),
        ({"finished_at": None, "steps": []}, StoryState.RUNNING),
        ({"finished_at": None, "started_at": "2026-11-23T01:00:00Z"}, StoryState.STOPPED),
    ],
)
def test_how_the_story_stands(path: Path, changes: dict[str, Any], state: StoryState) -> None:
    assert read_story(put(path, {**STORY, **changes}), NOW).state is state


def test_a_story_is_given_up_only_after_its_time(path: Path) -> None:
    put(path, {**STORY, "finished_at": None, "started_at": NOW.isoformat()})
    assert read_story(path, NOW + RUNNING_MAX).state is StoryState.RUNNING
    late = NOW + RUNNING_MAX + timedelta(seconds=1)
    assert read_story(path, late).state is StoryState.STOPPED


def test_steps_and_figures_are_read(path: Path) -> None:
    story = read_story(put(path, STORY), NOW)
    assert [step.number for step in story.steps] == [1, 2, 3]
    assert story.steps[0].name.zh == "市民登记"
    assert story.steps[0].detail.en == "matched with the base records"
    assert story.longest_milliseconds == 2310
    assert story.total_milliseconds == 2398.46
    assert story.started_at == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def test_a_running_story_is_summed_here(path: Path) -> None:
    story = read_story(put(path, {**STORY, "finished_at": None, "total_milliseconds": None}), NOW)
    assert story.total_milliseconds == pytest.approx(84.2 + 2310 + 4.26)


def test_no_file_is_no_story(path: Path) -> None:
    assert read_story(path, NOW).state is StoryState.MISSING


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"started_at": "2026-11-23T10:00:00+08:00", "fin',  # written half
        b"[" * 100_000,
        b" " * (FILE_MAX_BYTES + 1),
    ],
    ids=["empty", "bytes", "list", "null", "half", "deep", "long"],
)
def test_what_is_no_story_is_damaged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert read_story(path, NOW).state is StoryState.DAMAGED


def test_a_folder_in_its_place_is_damaged(path: Path) -> None:
    path.mkdir()
    assert read_story(path, NOW).state is StoryState.DAMAGED


@pytest.mark.parametrize(
    "changes",
    [
        {"started_at": None},
        {"started_at": "yesterday"},
        {"started_at": "2026-11-23T10:00:00"},  # no offset
        {"started_at": 5},
        {"started_at": "9999-12-31T23:59:00-12:00"},
        {"started_at": "0001-01-01T00:00:00+12:00"},
        {"reader": "magic"},
        {"steps": None},
        {"steps": [STEP] * (STEPS_MAX + 1)},
        {"steps": ["one"]},
        {"steps": [{**STEP, "number": "1"}]},
        {"steps": [{**STEP, "number": True}]},
        {"steps": [{**STEP, "name_zh": None}]},
        {"steps": [{**STEP, "detail_en": "x" * 501}]},
        {"steps": [{**STEP, "milliseconds": -1}]},
        {"steps": [{**STEP, "milliseconds": "9"}]},
        {"steps": [{**STEP, "milliseconds": float("nan")}]},
        {"steps": [{**STEP, "milliseconds": 10**400}]},
        {"steps": [{**STEP, "name_en": "\ud800"}]},
        {"total_milliseconds": "9"},
        {"total_milliseconds": 10**10},
    ],
)
def test_a_wrong_member_is_damage(path: Path, changes: dict[str, Any]) -> None:
    assert read_story(put(path, {**STORY, **changes}), NOW).state is StoryState.DAMAGED


def test_the_version_changes_with_what_is_shown(path: Path) -> None:
    """The open page asks for the version only: what changes the page must change it."""
    seen = [read_story(path, NOW).version]
    for content in (
        {**STORY, "finished_at": None, "steps": []},
        {**STORY, "finished_at": None, "steps": [STEP]},
        STORY,
        {**STORY, "ok": False},
        "damage",
    ):
        seen.append(read_story(put(path, content), NOW).version)
    put(path, {**STORY, "finished_at": None})
    seen.append(read_story(path, NOW).version)
    seen.append(read_story(path, NOW + timedelta(days=1)).version)
    assert len(set(seen)) == len(seen)
