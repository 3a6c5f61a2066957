"""The book of loads: its one table of stages, said twice; and what the backend's answers do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reader_bridge import Refused, TerminalFault, Unreachable
from reader_bridge.clock import Clock
from reader_bridge.forward.pace import Pace
from reader_bridge.journal import Journal
from reader_bridge.kernels.epurse import LoadAuthorisation, LoadIntent, LoadRequest
from reader_bridge.loads import FLOW, Funding, Load, LoadBook, LoadCourier, LoadStage, LoadTeller
from reader_bridge.loads import schema as load_schema
from reader_bridge.loads.values import DECIDED, StageRefused, pin_of
from reader_bridge.loads.wire import UNASKED
from tests.reader_bridge.conftest import TestTime
from tests.reader_bridge.till.support import SOON_SECONDS

REQUEST = LoadRequest(
    bytes.fromhex("A000000632010105"), bytes(10), bytes(8), 500, bytes(6), 1, 100, 7, 1, 0,
    b"rand", b"mac1",
)  # fmt: skip
GIVEN = LoadAuthorisation(b"mac2", bytes.fromhex("20261123100000"))
INTENT = LoadIntent(REQUEST, UNASKED)
LOAD = Load("lod_1", "R1", 500, Funding.CASH, LoadStage.ASKED, INTENT, b"{}", 1)
ANSWER = {"load_id": "lod_1", "amount_fen": 500, "mac2": b"mac2".hex()}
ANSWER |= {"transaction_time": "20261123100000"}
REFUSED = {"code": "x", "detail": "no"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def book(path: Path) -> Iterator[LoadBook]:
    journal = Journal(path)
    yield LoadBook(journal.database)
    journal.close()


MOVES: Mapping[LoadStage, Callable[[LoadBook], Load]] = {
    LoadStage.PAID: lambda book: book.paid("lod_1", replace(LOAD.intent, authorisation=GIVEN)),
    LoadStage.WRITTEN: lambda book: book.written("lod_1", b"tac!"),
    LoadStage.RETURNING: lambda book: book.returning("lod_1", b"{}"),
    **{
        stage: lambda book, stage=stage: book.settle("lod_1", stage, REFUSED)  # type: ignore[misc]
        for stage in (*DECIDED, LoadStage.LOST)
    },
}
WAYS = {
    LoadStage.ASKED: (),
    LoadStage.PAID: (LoadStage.PAID,),
    LoadStage.WRITTEN: (LoadStage.PAID, LoadStage.WRITTEN),
    LoadStage.RETURNING: (LoadStage.PAID, LoadStage.RETURNING),
    LoadStage.CONFIRMED: (LoadStage.PAID, LoadStage.CONFIRMED),
    LoadStage.RETURNED: (LoadStage.PAID, LoadStage.RETURNED),
    LoadStage.REFUSED: (LoadStage.REFUSED,),
    LoadStage.LOST: (LoadStage.PAID, LoadStage.LOST),
}


@pytest.mark.parametrize(("before", "after"), list(product(LoadStage, sorted(MOVES))))
def test_every_pair_is_decided(
    book: LoadBook, path: Path, before: LoadStage, after: LoadStage
) -> None:
    """Goal: what FLOW allows happens; an end stays an end; all else is refused, by SQLite too."""
    book.ask(LOAD)
    for stage in WAYS[before]:
        MOVES[stage](book)
    if after in FLOW[before]:
        assert MOVES[after](book).stage is after
        return
    if before is after or before in DECIDED:
        assert MOVES[after](book).stage is before
    else:
        with pytest.raises(StageRefused):
            MOVES[after](book)
    if before is not after:
        with sqlite3.connect(path) as aside, pytest.raises(sqlite3.IntegrityError):
            aside.execute(
                "UPDATE load SET stage = ?, tac = coalesce(tac, x'00000000'), answer = '{}',"
                " evidence = x'00'",
                (after.value,),
            )
    assert book.get("lod_1").stage is before


def test_a_reference_and_a_card_have_one_open_load(book: LoadBook) -> None:
    assert book.ask(LOAD)[1]
    again, is_new = book.ask(replace(LOAD, load_id="lod_2", amount_fen=600))
    assert (again.load_id, is_new) == ("lod_1", False)
    with pytest.raises(TerminalFault) as unfinished:
        book.ask(replace(LOAD, load_id="lod_2", reference="R2"))
    assert unfinished.value.code == "sale_unfinished"
    assert book.has_open()
    book.settle("lod_1", LoadStage.REFUSED, REFUSED)
    assert not book.has_open()
    assert book.ask(replace(LOAD, load_id="lod_2", reference="R2"))[1]


def test_rows_stay(book: LoadBook, path: Path) -> None:
    book.ask(LOAD)
    for change in ("DELETE FROM load", "UPDATE load SET amount_fen = 1, body = x'00'"):
        with sqlite3.connect(path) as aside, pytest.raises(sqlite3.IntegrityError):
            aside.execute(change)


def test_an_older_file_gets_the_table_and_a_newer_one_is_left_alone(path: Path) -> None:
    Journal(path).close()  # as it was before loads
    journal = Journal(path)
    LoadBook(journal.database).ask(LOAD)
    assert LoadBook(journal.database).find("R1") == LOAD  # opened again: nothing is made anew
    journal.database.write(
        lambda database: database.execute(
            "UPDATE load_schema SET version = ?", (load_schema.VERSION + 1,)
        )
    )
    with pytest.raises(TerminalFault) as newer:
        LoadBook(journal.database)
    assert newer.value.code == "state_newer"
    journal.close()


@dataclass
class Line:
    """What the backend answers, one after the other; then it is away."""

    answers: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    is_empty: threading.Event = field(default_factory=threading.Event)

    def get(self, path: str, params: Any = None) -> Any:
        return self.post(path, b"", "")

    def post(self, path: str, body: bytes, idempotency_key: str) -> Any:
        self.asked.append((path, idempotency_key))
        answer = self.answers.pop(0) if self.answers else Unreachable("away", sent=False)
        if not self.answers:
            self.is_empty.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.answers.clear()


def no(code: str, status: int, *, retryable: bool = False) -> Refused:
    return Refused(code, code, retryable=retryable, data={}, status=status)


def at(test_time: TestTime, seconds: float = 0) -> Clock:
    test_time.forward(seconds)
    return test_time.clock()


@pytest.mark.parametrize(
    ("stage", "answer", "end"),
    [
        (LoadStage.WRITTEN, {**ANSWER, "state": "written"}, LoadStage.CONFIRMED),
        (LoadStage.WRITTEN, {**ANSWER, "load_id": "lod_2", "state": "written"}, LoadStage.WRITTEN),
        (LoadStage.WRITTEN, no("load_state_conflict", 409), LoadStage.LOST),
        (LoadStage.WRITTEN, no("load_tac_invalid", 402), LoadStage.LOST),
        (LoadStage.WRITTEN, no("client_disabled", 403), LoadStage.WRITTEN),
        (LoadStage.WRITTEN, no("busy", 409, retryable=True), LoadStage.WRITTEN),
        (LoadStage.WRITTEN, Unreachable("away", sent=True), LoadStage.WRITTEN),
        (LoadStage.RETURNING, {**ANSWER, "state": "returned"}, LoadStage.RETURNED),
        (LoadStage.RETURNING, {**ANSWER, "state": "written"}, LoadStage.CONFIRMED),
        (LoadStage.RETURNING, {**ANSWER, "state": "begun"}, LoadStage.RETURNING),
        (LoadStage.RETURNING, no("load_not_proved", 402), LoadStage.LOST),
        (LoadStage.PAID, {**ANSWER, "state": "begun"}, LoadStage.PAID),
        (LoadStage.PAID, {**ANSWER, "state": "returned"}, LoadStage.RETURNED),
        (LoadStage.PAID, no("load_unknown", 404), LoadStage.PAID),
        (LoadStage.ASKED, {**ANSWER, "state": "begun"}, LoadStage.PAID),
        (LoadStage.ASKED, {**ANSWER, "state": "begun", "mac2": None}, LoadStage.ASKED),
        (LoadStage.ASKED, no("load_unknown", 404), LoadStage.ASKED),  # it may be under way
        (LoadStage.LOST, {**ANSWER, "state": "written"}, LoadStage.CONFIRMED),
    ],
)
def test_what_an_answer_does(
    book: LoadBook, test_time: TestTime, stage: LoadStage, answer: Any, end: LoadStage
) -> None:
    clock = at(test_time)
    load, _ = book.ask(replace(LOAD, asked_at=int(clock.unix_now())))
    for way in WAYS[stage]:
        load = MOVES[way](book)
    assert LoadTeller(book, Line([answer]), clock).settle(load).stage is end


def test_one_that_never_began_ends_after_its_time(book: LoadBook, test_time: TestTime) -> None:
    load, _ = book.ask(replace(LOAD, asked_at=int(test_time.clock().unix_now())))
    late = at(test_time, 121)
    ended = LoadTeller(book, Line([no("load_unknown", 404)]), late).settle(load)
    assert ended.stage is LoadStage.REFUSED
    assert ended.answer is not None
    assert ended.answer["code"] == "load_not_begun"


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (no("insufficient_funds", 402), LoadStage.REFUSED),
        (Unreachable("no_connection", sent=False), LoadStage.REFUSED),
        (Unreachable("connection_lost", sent=True), LoadStage.ASKED),
        ({**ANSWER, "state": "begun", "mac2": "zz"}, LoadStage.ASKED),
    ],
)
def test_a_beginning_without_the_issuers_word(
    book: LoadBook, test_time: TestTime, answer: Any, end: LoadStage
) -> None:
    load, _ = book.ask(LOAD)
    with pytest.raises((Refused, Unreachable)):
        LoadTeller(book, Line([answer]), at(test_time)).begin(load)
    assert book.get("lod_1").stage is end


def test_the_same_evidence_is_the_same_request(book: LoadBook, test_time: TestTime) -> None:
    book.ask(LOAD)
    for way in WAYS[LoadStage.RETURNING]:
        load = MOVES[way](book)
    line = Line()
    teller = LoadTeller(book, line, at(test_time))
    teller.settle(load)
    teller.settle(load)
    teller.settle(replace(load, evidence=b"other"))
    keys = [key for _, key in line.asked]
    assert keys[0] == keys[1] != keys[2]
    assert all(len(key) <= 64 for key in keys)


def test_the_courier_tells_until_it_was_heard(book: LoadBook) -> None:
    book.ask(LOAD)
    for way in WAYS[LoadStage.WRITTEN]:
        MOVES[way](book)
    heard = {**ANSWER, "state": "written"}
    line = Line([Unreachable("away", sent=True), RuntimeError("a bug"), heard])
    pace = Pace(base_seconds=0.01, idle_seconds=0.01, wake_seconds_min=0.01)
    courier = LoadCourier(book, line, Clock(), pace)  # type: ignore[arg-type]
    courier.wake()
    assert line.is_empty.wait(SOON_SECONDS)
    courier.close()  # ends after the answer under way
    assert book.get("lod_1").stage is LoadStage.CONFIRMED
    assert {path for path, _ in line.asked} == {"/v1/terminal/loads/lod_1/written"}


@pytest.mark.parametrize(("digits", "pin"), [("1234", "1234"), ("12345", "12345F")])
def test_a_pin_as_the_card_wants_it(digits: str, pin: str) -> None:
    assert pin_of(digits) == bytes.fromhex(pin)


@pytest.mark.parametrize("digits", ["123", "1" * 13, "12a4", "１２３４"])
def test_what_is_no_pin(digits: str) -> None:
    with pytest.raises(ValueError, match="4 to 12"):
        pin_of(digits)
