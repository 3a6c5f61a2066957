"""The loads of this terminal, on the disk before anything leaves; knows no network and no card."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reader_bridge.faults import TerminalFault
from reader_bridge.journal.database import Database
from reader_bridge.kernels.epurse import LoadIntent
from reader_bridge.loads import schema
from reader_bridge.loads.values import (
    DECIDED,
    FLOW,
    Funding,
    Load,
    LoadStage,
    require_flow,
)

ROUND_MAX: Final = 50  # loads of one round of the teller
OPEN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class LoadBook:
    """In the journal's file, by the journal's connection: one disk, one lock, one sync a write.

    Every method that writes has written to the disk when it returns; all raise
    TerminalFault(state_unusable) when the disk or the lock fails. Times are unix seconds.
    """

    database: Database

    def __post_init__(self) -> None:
        self.database.write(schema.make_current)

    def ask(self, load: Load) -> tuple[Load, bool]:
        """Before the request leaves; and whether it is new: else how its reference stands.

        Raises TerminalFault(journal_full), TerminalFault(sale_unfinished) while another load of
        this card is open.
        """

        def act(database: sqlite3.Connection) -> tuple[Load, bool]:
            known = _find(database, "reference = ?", load.reference)
            if known is not None:
                return known, False
            where = "purse_number = ? AND stage IN ('asked', 'paid')"
            other = _find(database, where, load.purse_number)
            if other is not None:
                raise TerminalFault("sale_unfinished", reference=other.reference)
            database.execute(
                "INSERT INTO load VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?)",
                (
                    load.load_id,
                    load.reference,
                    load.purse_number,
                    load.amount_fen,
                    load.funding.value,
                    LoadStage.ASKED.value,
                    load.intent.encode(),
                    load.body,
                    load.application,
                    load.asked_at,
                    load.asked_at,
                ),
            )
            return _get(database, load.load_id), True

        return self.database.write_offline(act)

    def paid(self, load_id: str, intent: LoadIntent) -> Load:
        """The issuer's word is here. Before CREDIT leaves. Raises StageRefused."""
        return self._move(load_id, LoadStage.PAID, intent=intent.encode())

    def written(self, load_id: str, tac: bytes) -> Load:
        """The card's word that it has the money."""
        return self._move(load_id, LoadStage.WRITTEN, tac=tac)

    def returning(self, load_id: str, evidence: bytes) -> Load:
        """The card's word about its counter, as the backend will get it."""
        return self._move(load_id, LoadStage.RETURNING, evidence=evidence)

    def settle(self, load_id: str, stage: LoadStage, answer: Mapping[str, Any]) -> Load:
        """What the backend said, or that it took nothing, or that nobody here can tell."""
        text = json.dumps(dict(answer), ensure_ascii=False)
        return self._move(load_id, stage, answer=text)

    def looked(self, load_id: str, at: int) -> None:
        """The backend was asked about it: the others go first next time."""
        self.database.write_result(
            lambda database: database.execute(
                "UPDATE load SET looked_at = ? WHERE load_id = ?", (at, load_id)
            )
        )

    def find(self, reference: str) -> Load | None:
        """The load of the cash register's own number."""
        return self._first("reference = ?", reference)

    def get(self, load_id: str) -> Load:
        """Raises KeyError."""
        found = self._first("load_id = ?", load_id)
        if found is None:
            raise KeyError(load_id)
        return found

    def has_open(self) -> bool:
        """Whether any card has to come back: one look-up, for every tap."""
        return bool(
            self.database.read("SELECT 1 FROM load WHERE stage IN ('asked', 'paid') LIMIT 1")
        )

    def find_open(self, purse_number: str) -> Load | None:
        """The load of this card that is neither proved written nor proved not."""
        return self._first("purse_number = ? AND stage IN ('asked', 'paid')", purse_number)

    def open_loads(self) -> tuple[Load, ...]:
        """Those whose card has to come back, oldest first, at most OPEN_MAX."""
        return self._all("stage IN ('asked', 'paid') ORDER BY asked_at LIMIT ?", OPEN_MAX)

    def to_tell(self) -> tuple[Load, ...]:
        """Words the backend has not heard, oldest first, at most ROUND_MAX."""
        return self._all("stage IN ('written', 'returning') ORDER BY asked_at LIMIT ?", ROUND_MAX)

    def to_ask(self, looked_before: int) -> tuple[Load, ...]:
        """Those the backend may know more about, the longest not asked first."""
        where = "stage IN ('asked', 'paid', 'lost') AND looked_at < ? ORDER BY looked_at LIMIT ?"
        return self._all(where, looked_before, ROUND_MAX)

    def _move(self, load_id: str, stage: LoadStage, **columns: object) -> Load:
        """Twice is once; an end that was told meanwhile stays. Raises StageRefused."""

        def act(database: sqlite3.Connection) -> Load:
            load = _get(database, load_id)
            is_decided = load.stage in DECIDED and stage not in FLOW[load.stage]
            if load.stage is stage or is_decided:
                return load
            require_flow(load.stage, stage)
            names = ", ".join(f"{name} = ?" for name in ("stage", *columns))
            database.execute(
                f"UPDATE load SET {names} WHERE load_id = ?",  # noqa: S608 - names of ours
                (stage.value, *columns.values(), load_id),
            )
            return _get(database, load_id)

        return self.database.write_result(act)

    def _first(self, where: str, *values: object) -> Load | None:
        found = self._all(f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def _all(self, where: str, *values: object) -> tuple[Load, ...]:
        rows = self.database.read(f"SELECT * FROM load WHERE {where}", values)  # noqa: S608
        return tuple(_load(row) for row in rows)


def _find(database: sqlite3.Connection, where: str, value: object) -> Load | None:
    row = database.execute(f"SELECT * FROM load WHERE {where}", (value,)).fetchone()  # noqa: S608
    return None if row is None else _load(row)


def _get(database: sqlite3.Connection, load_id: str) -> Load:
    found = _find(database, "load_id = ?", load_id)
    if found is None:
        raise KeyError(load_id)
    return found


def _load(row: sqlite3.Row) -> Load:
    return Load(
        load_id=row["load_id"],
        reference=row["reference"],
        amount_fen=row["amount_fen"],
        funding=Funding(row["funding"]),
        stage=LoadStage(row["stage"]),
        intent=LoadIntent.decode(bytes(row["intent"])),
        body=bytes(row["body"]),
        asked_at=row["asked_at"],
        application=row["application"],
        tac=row["tac"],
        evidence=row["evidence"],
        answer=None if row["answer"] is None else json.loads(row["answer"]),
    )
