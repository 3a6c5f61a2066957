"""A page's wallet in a node process, called from Python tests; and where node is."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WEB = ROOT / "sdk_mobile" / "web"
ANSWER_SECONDS = 60.0


class PageRefused(Exception):
    """What the SDK threw on purpose."""

    def __init__(self, name: str, code: str, data: Mapping[str, Any]) -> None:
        super().__init__(f"{name} {code}")
        self.name, self.code, self.data = name, code, data


class Wallet(Protocol):
    """A page's wallet, wherever it runs."""

    def call(self, name: str, *given: object) -> Any:
        """The result; raises PageRefused."""


@dataclass
class Page:
    """One browser's wallet. Commands are the methods of `Wallet`, and those of driver.mjs."""

    process: subprocess.Popen[bytes] = field(repr=False)

    def call(self, name: str, *given: object) -> Any:
        """The result; raises PageRefused."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        line = json.dumps({"call": name, "given": given}) + "\n"
        stdin.write(line.encode())
        stdin.flush()
        ready, _, _ = select.select([stdout], [], [], ANSWER_SECONDS)
        answer = stdout.readline() if ready else b""
        assert answer, f"no answer to {name}"
        told = json.loads(answer)
        if refused := told.get("refused"):
            raise PageRefused(refused["name"], refused["code"], refused["data"])
        return told["result"]


def node() -> str:
    """Path of node; without it the test is skipped, and says what is missing."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("needs node 20 or later (Debian: nodejs)")
    return path


@contextmanager
def page(url: str, seconds: float = 0) -> Iterator[Page]:
    """A page at this backend; `seconds`: its clock stands there, 0: it is the machine's."""
    command = [node(), str(HERE / "driver.mjs"), url, str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Page(process)
        finally:
            process.kill()
