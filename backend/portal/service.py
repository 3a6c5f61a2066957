"""What the pages tell: the city's settings, how it runs at this moment, the ledger's proof."""

from __future__ import annotations

import shlex
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend.db import OutboxWorker, Units, Which
from backend.kernel import DomainError
from backend.portal.story import Story, read_story
from backend.wallet import LedgerProof, Proof

GLANCE_KEPT = timedelta(seconds=2)
"""Anyone may ask for the page; the databases are asked this often at most."""

ENGINES: Mapping[str, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """One of the three databases (三库)."""

    which: Which
    engine: str
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Glance:
    """How the city runs: `parked_count` and `proof` are None when they cannot be read now."""

    databases: tuple[DatabaseState, ...]
    parked_count: int | None
    proof: LedgerProof | None


@dataclass(slots=True)
class _Kept:
    """The last glance, for those who ask at the same moment."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    glance: Glance | None = None
    until: datetime | None = None
    story_version: str = ""


@dataclass(frozen=True, slots=True)
class Portal:
    """`city` is the parsed city.toml; `story_path` is where the player leaves the result."""

    city: Mapping[str, Any]
    story_path: Path
    public_url: str
    internal_url: str
    units: Units
    worker: OutboxWorker
    proof: Proof
    _kept: _Kept = field(default_factory=_Kept, init=False, repr=False, compare=False)

    @property
    def is_sandbox(self) -> bool:
        """Whether this is a demo: only then addresses of this machine and hints are shown."""
        return bool(self.city.get("sandbox", {}).get("enabled", False))

    @property
    def play_command(self) -> str:
        """What an operator types, in the project folder, to play the story for this page."""
        options = (
            ("--public", self.public_url),
            ("--internal", self.internal_url),
            ("--result", str(self.story_path)),
        )
        lines = (".venv/bin/python -m tools.story", *(shlex.join(one) for one in options))
        return " \\\n  ".join(lines)

    def story(self) -> Story:
        return read_story(self.story_path, self.units.clock.now())

    def glance(self, story: Story) -> Glance:
        """The state of now; at most 2 s old, and never older than the story's last step."""
        now, kept = self.units.clock.now(), self._kept
        with kept.lock:
            is_fresh = kept.until is not None and now < kept.until
            if kept.glance is None or not is_fresh or kept.story_version != story.version:
                kept.glance = self._look()
                kept.until, kept.story_version = now + GLANCE_KEPT, story.version
            return kept.glance

    def _look(self) -> Glance:
        databases = tuple(self._ask(which) for which in Which)
        if not all(one.is_ready for one in databases):
            return Glance(databases, None, None)
        return Glance(databases, self._count_parked(), self._prove())

    def _ask(self, which: Which) -> DatabaseState:
        dialect = self.units.databases[which].engine.dialect.name
        try:
            with self.units.read(which) as work:
                work.execute(text("SELECT 1"))
            is_ready = True
        except (DomainError, SQLAlchemyError):
            is_ready = False
        return DatabaseState(which, ENGINES.get(dialect, dialect), is_ready)

    def _count_parked(self) -> int | None:
        try:
            return self.worker.parked()
        except (DomainError, SQLAlchemyError):
            return None

    def _prove(self) -> LedgerProof | None:
        try:
            return self.proof.prove()
        except (DomainError, SQLAlchemyError, sqlite3.Error):  # sqlite3: the sandbox bank's book
            return None
