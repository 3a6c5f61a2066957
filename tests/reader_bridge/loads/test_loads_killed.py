"""kill -9 for real: a process that loads a card, killed at the steps that matter."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from reader_bridge import Outcome
from tests.docs.city import City
from tests.reader_bridge.loads.test_loads_city import AMOUNT_FEN, run_out
from tests.reader_bridge.loads.world import (
    START_FEN,
    Books,
    Killer,
    load_order,
    make_plastic,
    mortal,
    tap,
)

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60


def serve_card(listener: socket.socket, transmit: Any) -> None:
    """One card in one field: the child's end of the line is the reader."""
    line, _ = listener.accept()
    with line:
        while head := line.recv(2, socket.MSG_WAITALL):
            answer = transmit(line.recv(int.from_bytes(head), socket.MSG_WAITALL))
            try:
                line.sendall(len(answer).to_bytes(2) + answer)
            except BrokenPipeError:
                return  # killed while the card worked


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ("before POST", Outcome.RETURNED),
        ("after the answer to POST", Outcome.RETURNED),
        ("before 8052", Outcome.RETURNED),
        ("after 8052", Outcome.LOADED),
        ("before the word is told", Outcome.LOADED),
    ],
)
def test_a_killed_process_leaves_one_story(
    city: City, folder: Path, tmp_path: Path, step: str, end: Outcome
) -> None:
    whole, name = Killer(), step.replace(" ", "-")
    with mortal(folder, whole) as terminal:
        tap(terminal, load_order(f"Z0-{name}", AMOUNT_FEN), make_plastic(city).shown(whole))
    post = whole.names.index("before POST loads")
    at = {
        "before POST": post,
        "after the answer to POST": post + 1,
        "before 8052": whole.names.index("before 8052"),
        "after 8052": whole.names.index("after 8052"),
        "before the word is told": whole.names.index("before POST written"),
    }[step]
    plastic, reference = make_plastic(city), f"Z-{name}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "card"))
        listener.listen(1)
        card = threading.Thread(target=serve_card, args=(listener, plastic.shown()))
        card.start()
        command = [sys.executable, "-m", "tests.reader_bridge.loads.child", str(folder)]
        command += [str(tmp_path / "card"), reference, str(AMOUNT_FEN), str(at + 1)]
        done = subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False)
        card.join(SECONDS)
    assert done.returncode == -signal.SIGKILL
    assert run_out(folder, plastic, reference) is end
    is_loaded = end is Outcome.LOADED
    books = Books(city, plastic.number)
    assert list(books.states().values()) == ["written" if is_loaded else "returned"]
    assert plastic.balance_fen == START_FEN + AMOUNT_FEN * is_loaded
    assert books.in_transit_fen() == 0
