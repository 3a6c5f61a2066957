"""A sync that fails: the sale was refused, so it must not come back to life after a crash."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from reader_bridge.journal import Journal

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = textwrap.dedent(
    """
    import ctypes, os, signal, sys
    from pathlib import Path
    from reader_bridge.faults import TerminalFault
    from reader_bridge.journal import Journal
    from tests.reader_bridge.journal.support import AT, CARD, body_of, draft

    fiu = ctypes.CDLL("libfiu.so.0")
    journal = Journal(Path(sys.argv[1]))
    journal.accept_new(draft(1), CARD, body_of, AT)
    for point in (b"posix/io/sync/fdatasync", b"posix/io/sync/fsync"):
        fiu.fiu_enable(point, 1, ctypes.c_void_p(5), 0)  # EIO
    try:
        journal.accept_new(draft(2), CARD, body_of, AT)
    except TerminalFault as fault:
        print(fault.code, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
)


@pytest.mark.skipif(shutil.which("fiu-run") is None, reason="needs fiu-run (Debian: fiu-utils)")
def test_a_sale_refused_for_a_failed_sync_stays_refused_after_a_crash(path):
    child = subprocess.run(
        ["fiu-run", "-x", sys.executable, "-c", PROGRAM, str(path)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.stdout == "journal_full\n", child.stderr
    assert child.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    with closing(Journal(path)) as journal:
        assert [entry.draft.entry_id for entry in journal.to_upload(9)] == ["pay_1"]
