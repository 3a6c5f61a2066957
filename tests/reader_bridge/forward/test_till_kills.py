"""A till is killed with -9 twenty times among sales and uploads: each sale is charged once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reader_bridge.journal import GENESIS
from tools.chaos.till import Seen, _against_backend, kill_tills, main
from tools.chaos.till_backend import Book, Charge

KILLS = 20


def test_no_kill_loses_or_doubles_a_sale(tmp_path: Path) -> None:
    result = kill_tills(tmp_path, seed=5, kills=KILLS)
    assert result.wrong == ()
    assert result.kills == KILLS
    assert result.sales >= KILLS, "tills were killed before they could sell"
    assert result.uploads > 0
    assert result.outages > 0, "the network was always there"


def test_the_command_ends_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kills", "2", "--seed", "1"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == "seed=1"
    assert last.startswith("lost_or_doubled=0 kills=2 sales=")


@pytest.fixture
def fair() -> tuple[Seen, Book]:
    """A tap and a purse sale, each green and charged once."""
    seen = Seen()
    for line in ("T 1", "A 1 pay_1", "T 3", "D 3", "A 3 pay_3"):
        seen.note(line)
    book = Book(dice=None)
    for number, counter in ((1, 1), (3, 2)):
        amount_fen = (1 + number) * 10
        book.charges[f"pay_{number}"] = Charge(str(number), amount_fen, counter, GENESIS.hex())
    return seen, book


def lose(seen: Seen, book: Book) -> None:
    del book.charges["pay_1"]


def double(seen: Seen, book: Book) -> None:
    book.charges["pay_9"] = replace(book.charges["pay_1"], terminal_counter=9)


def overcharge(seen: Seen, book: Book) -> None:
    book.charges["pay_1"] = replace(book.charges["pay_1"], amount_fen=1)


def never_green(seen: Seen, book: Book) -> None:
    del seen.green[1]


def two_ids_for_one_tap(seen: Seen, book: Book) -> None:
    seen.note("A 1 pay_other")


def chip_not_debited(seen: Seen, book: Book) -> None:
    seen.debited.clear()


def counter_twice(seen: Seen, book: Book) -> None:
    book.charges["pay_1"] = replace(book.charges["pay_1"], terminal_counter=2)


def another_body(seen: Seen, book: Book) -> None:
    book.changed.add("pay_1")


@pytest.mark.parametrize(
    "break_it",
    [
        lose,
        double,
        overcharge,
        never_green,
        two_ids_for_one_tap,
        chip_not_debited,
        counter_twice,
        another_body,
    ],
)
def test_the_comparison_finds_what_is_wrong(fair, break_it):
    assert list(_against_backend(*fair)) == []
    break_it(*fair)
    assert list(_against_backend(*fair)) != []
