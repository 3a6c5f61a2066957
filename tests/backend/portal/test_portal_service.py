"""What the portal tells about the running city, on both database engines."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from backend.db import METADATA, Units, Which
from backend.kernel import ManualClock, new_id
from backend.portal import Portal
from backend.portal.story import StoryState
from backend.wallet import Ledger, Limits, Proof


def park_an_event(units: Units) -> None:
    """A row as the worker leaves it after the last attempt."""
    row = {
        "event_id": new_id("evt"),
        "topic": "test",
        "payload": {},
        "created_at": units.clock.now(),
        "due_at": None,
        "attempts": 12,
        "failure": "Boom",
    }
    with units.write(Which.BUSINESS) as work:
        work.execute(insert(METADATA[Which.BUSINESS].tables["outbox"]), row)


def test_an_empty_city_is_ready_and_proven(portal: Portal, units: Units) -> None:
    glance = portal.glance(portal.story())
    engine = "SQLite" if units.databases[Which.LEDGER].is_sqlite else "PostgreSQL"
    assert [(one.which, one.engine, one.is_ready) for one in glance.databases] == [
        (which, engine, True) for which in Which
    ]
    assert glance.parked_count == 0
    assert glance.proof is not None
    assert glance.proof.balanced
    assert glance.proof.custody_equals_owed


def test_a_glance_is_kept_for_two_seconds(portal: Portal, units: Units, clock: ManualClock) -> None:
    """Goal: strangers who ask for the page again and again do not load the databases."""
    story = portal.story()
    assert portal.glance(story).parked_count == 0
    park_an_event(units)
    clock.advance(timedelta(seconds=1))
    assert portal.glance(story).parked_count == 0
    clock.advance(timedelta(seconds=1))
    assert portal.glance(story).parked_count == 1


def test_the_storys_last_step_is_seen_at_once(
    portal: Portal, units: Units, write_story: Any
) -> None:
    write_story(finished_at=None)
    portal.glance(portal.story())
    park_an_event(units)
    write_story()
    story = portal.story()
    assert story.state is StoryState.PASSED
    assert portal.glance(story).parked_count == 1


def test_a_database_that_does_not_answer_is_named(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = portal.units.databases[Which.LEDGER].engine

    def refuse() -> None:
        raise OperationalError("connect", {}, ConnectionRefusedError())

    monkeypatch.setattr(lost, "connect", refuse)
    glance = portal.glance(portal.story())
    assert {one.which: one.is_ready for one in glance.databases} == {
        Which.IDENTITY: True,
        Which.BUSINESS: True,
        Which.LEDGER: False,
    }
    assert glance.parked_count is None
    assert glance.proof is None


class LostBank:
    """A sandbox bank whose book is gone."""

    def custody_balance_fen(self) -> int:
        raise sqlite3.OperationalError("unable to open database file")

    def bookings(self, day: date) -> list[Any]:
        raise AssertionError(f"nobody asked for {day}")


def test_a_bank_that_does_not_answer_leaves_the_page(portal: Portal, units: Units) -> None:
    glance = Portal(
        city=portal.city,
        story_path=portal.story_path,
        public_url=portal.public_url,
        internal_url=portal.internal_url,
        units=units,
        worker=portal.worker,
        proof=Proof(units, Ledger(Limits([])), LostBank()),  # type: ignore[arg-type]
    ).glance(portal.story())
    assert glance.proof is None
    assert glance.parked_count == 0


@pytest.mark.parametrize(
    ("settings", "is_sandbox"),
    [({"enabled": True}, True), ({"enabled": False}, False), ({}, False)],
)
def test_a_demo_is_what_the_settings_call_one(
    portal: Portal, city: dict[str, Any], settings: dict[str, Any], is_sandbox: bool
) -> None:
    city["sandbox"] = settings
    assert portal.is_sandbox is is_sandbox
