"""The page for merchants' developers tells every code and state of the local API."""

from __future__ import annotations

import re

from reader_bridge.local.problems import EDGE_WORDS, STATUS
from reader_bridge.local.server import PORT
from reader_bridge.till import ResultState, TillFault
from tests.docs import pages

PAGE = "merchant-developer.md"


def test_every_code_stands_there_with_its_status() -> None:
    rows = [
        (
            re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", codes)),
            re.findall(r"\d{3}", statuses),
        )
        for codes, statuses, _ in pages.table_rows(PAGE, "Code")
    ]
    told = {code: statuses for codes, statuses in rows for code in codes}
    wanted = {code: status for code, (status, _) in EDGE_WORDS.items()}
    wanted |= STATUS | {code: STATUS.get(code, 503) for code in TillFault.TEXTS}
    assert set(told) == set(wanted)
    for code, status in wanted.items():
        assert str(status) in told[code], code


def test_every_state_stands_there() -> None:
    rows = pages.table_rows(PAGE, "`state`")
    told = {state for cells in rows for state in re.findall(r"`([a-z_]+)`", cells[0])}
    assert told == {state.value for state in ResultState}


def test_the_port_is_the_one_we_take() -> None:
    assert f"http://127.0.0.1:{PORT}" in pages.text_of(PAGE)
