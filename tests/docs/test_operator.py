"""The operator's page: its tables say what is, its blocks run; production is served as it says."""

from __future__ import annotations

import getpass
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from backend.app import open_parts
from backend.config import ROOT, load_config
from backend.db import Which
from backend.identity.sms_sandbox import SandboxSms
from backend.kernel import SystemClock
from tests.docs import pages
from tests.docs.city import City, make_phone
from tests.support import postgres
from tools.story.instance import environment, free_port, is_ready
from tools.story.staff import Staff

PAGE = "operator.md"
PASSWORD = "correct horse battery"
TOP_UP_FEN = 5_000
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1


class _Asked(dict[str, str]):
    """An environment that remembers which names were looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def code_in(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_setting_is_in_the_table() -> None:
    asked = _Asked()
    config = load_config(asked)
    rows = {name: row for row in pages.table_rows(PAGE, "Variable") for name in code_in(row[0])}
    assert set(rows) == asked.names
    assert code_in(rows["CITY_PUBLIC_PORT"][1]) == {str(config.public_port)}
    assert code_in(rows["CITY_INTERNAL_PORT"][1]) == {str(config.internal_port)}
    for which in Which:
        name = config.path_of(config.database_urls[which]).name
        assert name in rows[f"CITY_{which.name}_DATABASE"][1]


def test_every_file_is_in_the_table(city: City) -> None:
    named = {name for row in pages.table_rows(PAGE, "File") for name in code_in(row[0])}
    var = city.parts.config.var
    made = {str(path.relative_to(var)) for path in var.rglob("*") if path.is_file()}
    made = {name for name in made if not name.endswith(("-wal", "-shm"))}
    assert made
    assert made <= named
    assert named - made == {"log/city.log", "story.json"}  # of `make run` alone


def test_every_log_event_and_measure_exists(city: City) -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "backend").rglob("*.py"))
    for row in pages.table_rows(PAGE, "`event`"):
        for name in code_in(row[0]):
            assert re.search(rf"log\.\w+\(\s*\"{name}\"", source), name
    httpx.get(f"{city.public}/healthz", trust_env=False)
    measured = httpx.get(f"{city.public}/metrics", trust_env=False).text
    for name in ("http_requests_total", "http_request_seconds"):
        assert name in pages.text_of(PAGE)
        assert f"{name}" in measured


def test_backup_while_it_runs(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a copy made in mid-service opens with its keys, and its books are those of the city."""
    city.make_phone(TOP_UP_FEN).close()
    monkeypatch.chdir(city.parts.config.var.parent)
    exec(compile(pages.blocks(PAGE, "python")[-1], PAGE, "exec"), {})
    copy = open_parts(load_config({"CITY_VAR": "backup"}))
    try:
        assert copy.proof.prove() == city.parts.proof.prove()
        assert copy.proof.prove().owed_fen >= TOP_UP_FEN
    finally:
        copy.databases.close()


@pytest.mark.postgres
def test_served_in_production(
    postgres_server: postgres.Server,
    worker_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Goal: PostgreSQL, two gunicorn processes a network and a worker do what `make run` does;
    what was dumped and restored is the same city."""
    ports = free_port(), free_port()
    names = {which: f"{worker_name}_docs_{which.value}" for which in Which}
    settings = {
        f"CITY_{which.name}_DATABASE": _sqlalchemy(postgres_server.create(names[which]))
        for which in Which
    }
    env = environment(tmp_path / "var", *ports) | settings
    migrate, serve = (block.splitlines() for block in pages.blocks(PAGE, "sh")[:2])
    exported = {line.split()[1].partition("=")[0] for line in migrate[:-1]}
    assert exported == {"CITY_VAR", *settings}
    subprocess.run(_command(migrate[-1], ports), cwd=ROOT, env=env, check=True, timeout=60)
    for name, value in env.items():
        if name.startswith("CITY_"):
            monkeypatch.setenv(name, value)
    try:
        secret = _make_staff_and_records(monkeypatch)
        with _running([_command(line, ports) for line in serve], env, tmp_path):
            _use(env, ports, secret)
        _dump_and_restore(postgres_server, names, tmp_path, env)
    finally:
        for name in names.values():
            postgres_server.drop(name)


def _make_staff_and_records(monkeypatch: pytest.MonkeyPatch) -> str:
    """The two blocks of "Before going live"; the TOTP secret the operator's phone reads."""
    told: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda _: PASSWORD)
    monkeypatch.chdir(ROOT / "data" / "demo")
    names: dict[str, Any] = {"print": told.append}
    exec(compile("\n".join(pages.blocks(PAGE, "python")[:2]), PAGE, "exec"), names)
    names["parts"].databases.close()
    monkeypatch.chdir(ROOT)
    (uri,) = told
    return parse_qs(urlsplit(uri).query)["secret"][0]


def _use(env: Mapping[str, str], ports: tuple[int, int], secret: str) -> None:
    public, internal = (f"http://127.0.0.1:{port}" for port in ports)
    _wait(lambda: is_ready(public) and is_ready(internal))
    sms = SandboxSms(Path(env["CITY_VAR"]) / "sandbox_sms.db", SystemClock())

    def read_sms(phone: str) -> str:
        _wait(lambda: sms.messages(phone))  # the worker brings it
        return sms.messages(phone)[0].text

    with make_phone(public, TOP_UP_FEN, read_sms=read_sms, settle=lambda: None) as phone:
        assert phone.balance().balance_fen == TOP_UP_FEN
    with Staff(internal) as staff:
        staff.log_in("li.wei", PASSWORD, secret)
        proof = staff.get("/v1/ops/ledger/proof")
    assert proof["balanced"]
    assert proof["owed_fen"] == proof["channel_receivable_fen"] == TOP_UP_FEN


def _dump_and_restore(
    server: postgres.Server, names: Mapping[Which, str], folder: Path, env: Mapping[str, str]
) -> None:
    """The runbook's commands, into databases of other names."""
    copies = {which: f"{name}_copy" for which, name in names.items()}
    urls = {
        f"CITY_{which.name}_DATABASE": _sqlalchemy(server.url(copies[which])) for which in Which
    }
    try:
        for which in (Which.LEDGER, Which.BUSINESS, Which.IDENTITY):
            dump = ["pg_dump", "-Fc", "-f", f"{which.value}.dump", server.url(names[which])]
            _run_postgres(dump, folder)
        for line in pages.blocks("runbooks/restore.md", "sh")[1].splitlines():
            words = shlex.split(line)
            which = Which(words[words.index("-d") + 1])
            words[words.index("-d") + 1] = server.create(copies[which])
            _run_postgres(words, folder)
        first, second = open_parts(load_config(env)), open_parts(load_config({**env, **urls}))
        with closing(first.databases), closing(second.databases):
            assert second.proof.prove() == first.proof.prove()
    finally:
        for name in copies.values():
            server.drop(name)


def _run_postgres(words: list[str], folder: Path) -> None:
    """A client program of the server's own version."""
    program = postgres.program(words[0])
    subprocess.run([str(program), *words[1:]], cwd=folder, check=True, timeout=60)


def _sqlalchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _command(line: str, ports: tuple[int, int]) -> list[str]:
    """A line of the page with this test's Python and ports."""
    for shown, port in zip((":8080", ":8081"), ports, strict=True):
        line = line.replace(shown, f":{port}")
    python, *words = shlex.split(line)
    assert python == ".venv/bin/python"
    return [sys.executable, *words]


@contextmanager
def _running(commands: list[list[str]], env: Mapping[str, str], folder: Path) -> Iterator[None]:
    """The processes, stopped in the end; what they said is shown when something fails."""
    assert len(commands) == 3
    log = folder / "log"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("ab") as out:
            for words in commands:
                processes.append(subprocess.Popen(words, cwd=ROOT, env=env, stdout=out, stderr=out))
        yield
        assert [process.poll() for process in processes] == [None] * 3
    except BaseException as error:
        error.add_note(log.read_text("utf-8", "replace")[-4000:])
        raise
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(WAIT_SECONDS)


def _wait(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(POLL_SECONDS)  # sleep: other processes tell us nothing
