"""Goal: no key, code, token or personal number lies in the clear in what a city leaves behind.

The whole story is played against real server processes; then their databases, logs, backups and
the phone's folder are searched, and whoever runs as the server's user tries for its memory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs import pages
from tests.journeys import hunting
from tests.journeys.hunting import Quarry, hunt
from tests.journeys.seeded import CODES_SENT, Played, keys_of, played, with_passphrase
from tests.support import postgres
from tools.story.instance import ROOT, Instance, environment, free_port, fresh_instance, is_ready

TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.05
START_SECONDS = 60.0
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
DATABASES = ("identity", "business", "ledger")
# The outside world, played under var/: an SMS centre has numbers and texts, as real ones do.
SMS_CENTRE = ("sandbox_sms.db", "sandbox_sms.db-wal", "sandbox_sms.db-shm")
SENT_BY_SMS = ("one-time code", "phone number")
# Printed at the start on purpose, to be taken out of city.toml before a city goes live.
DEMO_LINES = b"  demo "


def files_in(folder: Path) -> dict[str, bytes]:
    """Content by name below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def console_of(city: Played) -> bytes:
    lines = city.instance.log.read_bytes().splitlines()
    assert any(line.startswith(DEMO_LINES) for line in lines)
    return b"\n".join(line for line in lines if not line.startswith(DEMO_LINES))


def hunt_in_var(city: Played, places: dict[str, bytes]) -> list[str]:
    """In files as they lie under var/ or in a copy of it; what each is there for is spared."""
    sms = {name: places.pop(name) for name in SMS_CENTRE if name in places}
    kek = {"keys/kek": places.pop("keys/kek")}
    vendor = places.pop("sandbox_vendor.pem", b"")
    return [
        *hunt(city.quarries, places),
        *hunt(city.all_but(*SENT_BY_SMS), sms),
        *hunt(city.all_but("kek file"), kek),
        *hunt(city.all_but("vendor's key"), {"sandbox_vendor.pem": vendor}),
    ]


def back_up(city: Played) -> dict[str, bytes]:
    """What docs/operator.md says to do, while the city runs; see docs/runbooks/restore.md."""
    block = pages.blocks("operator.md", "python")[-1]
    assert "VACUUM INTO" in block
    folder = city.instance.var.parent
    subprocess.run([sys.executable, "-c", block], cwd=folder, timeout=TIMEOUT_SECONDS, check=True)
    return files_in(folder / "backup")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """On SQLite, as `make run` has it; still running."""
    with played(tmp_path_factory.mktemp("seeded")) as ready:
        yield ready


def test_files_and_console_of_a_city_that_runs(city: Played) -> None:
    places = files_in(city.instance.var)
    assert {f"{name}.db-wal" for name in DATABASES} <= set(places)  # not all is in the files yet
    assert len(places["log/city.log"].splitlines()) > 50
    real = {"sandbox_sms.db": places["sandbox_sms.db"]}  # the codes are those that were sent
    assert len(hunt(city.named("one-time code"), real)) >= CODES_SENT
    assert hunt_in_var(city, places) == []
    assert hunt(city.quarries, {"console": console_of(city)}) == []


def test_the_documented_backup(city: Played) -> None:
    places = back_up(city)
    assert {f"{name}.db" for name in DATABASES} | {"keys/keystore.json"} <= set(places)
    assert hunt_in_var(city, places) == []


def test_the_phones_folder(city: Played) -> None:
    """What was answered is forgotten, and the identity number was never there. Its own keys are
    (docs/citizen-app-developer.md: without a keystore), and its session."""
    places = files_in(city.phone)
    assert {"state", "card_keys"} <= {name.partition(".")[0] for name in places}
    gone = ("one-time code", "identity number", "bank card")
    assert hunt(city.named(*gone), places) == []
    kept = hunt(city.named("limited-use key", "refresh token"), places)
    assert {one.partition(" (")[0] for one in kept} == {"limited-use key", "refresh token"}


def test_the_hunt_finds_what_it_is_sent_for(city: Played) -> None:
    """Each secret in each of its forms, planted in the middle of a real database."""
    content = (city.instance.var / "business.db").read_bytes()
    half = len(content) // 2
    for quarry in city.quarries:
        alone = {} if quarry.alone is None else {"text": b'"' + quarry.alone + b'"'}
        planted = {**quarry.forms, **alone}
        assert len(planted) > 5
        for form, needle in planted.items():
            place = {"planted": content[:half] + needle + content[half:]}
            assert f"{quarry.name} ({form}) in planted" in hunt([quarry], place)


@pytest.mark.postgres
def test_dumps_of_postgresql(
    postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    """The nightly dump of docs/operator.md, as text; and what lies beside it under var/."""
    with ExitStack() as exits:
        urls = {
            name: exits.enter_context(postgres_server.database(f"{worker_name}_seeded_{name}"))
            for name in DATABASES
        }
        settings = {
            f"CITY_{name.upper()}_DATABASE": url.replace("postgresql:", "postgresql+psycopg:", 1)
            for name, url in urls.items()
        }
        city = exits.enter_context(played(tmp_path, **settings))
        dumps = {name: dump_of(url, tmp_path / f"{name}.dump") for name, url in urls.items()}
        for name, table in (("identity", "person"), ("business", "device"), ("ledger", "posting")):
            assert f"COPY public.{table} ".encode() in dumps[name]
        assert hunt(city.quarries, dumps) == []
        assert hunt_in_var(city, files_in(city.instance.var)) == []
        assert hunt(city.quarries, {"console": console_of(city)}) == []


@pytest.mark.softhsm
def test_the_pin_of_a_token(tmp_path: Path) -> None:
    """Whose keys are in a PKCS#11 token leaves the PIN nowhere, not with the token either."""
    if not MODULE.exists():
        pytest.skip(f"{MODULE} is missing: apt-get install softhsm2")
    pin = f"{10**11 + secrets.randbelow(9 * 10**11)}"
    (tmp_path / "pin").write_text(pin)
    token = tmp_path / "token"
    (token / "tokens").mkdir(parents=True)
    configuration = token / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {token / 'tokens'}\nlog.level = DEBUG\n")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "seeded"]
    subprocess.run(
        [*command, "--pin", pin, "--so-pin", pin[::-1]],
        env={**os.environ, "SOFTHSM2_CONF": str(configuration)},
        timeout=TIMEOUT_SECONDS,
        capture_output=True,
        check=True,
    )
    settings = {
        "SOFTHSM2_CONF": str(configuration),
        "CITY_PKCS11_MODULE": str(MODULE),
        "CITY_PKCS11_TOKEN": "seeded",
        "CITY_PKCS11_PIN_FILE": str(tmp_path / "pin"),
        "CITY_KEYS_IN_SOFTWARE": "sm4,sm2",
    }
    with fresh_instance(**settings) as instance:
        places = {**files_in(instance.var), "console": instance.log.read_bytes()}
        held = files_in(token)
    assert len(held) > 10  # its keys are there
    assert hunt([hunting.digits("PIN", pin)], {**places, **held}) == []


def dump_of(url: str, path: Path) -> bytes:
    """`pg_dump -Fc`, and its content as `pg_restore` spells it out."""
    dump = [str(postgres.program("pg_dump")), "-Fc", "-f", str(path), url]
    subprocess.run(dump, timeout=TIMEOUT_SECONDS, check=True)
    spell = [str(postgres.program("pg_restore")), "-f", "-", str(path)]
    return subprocess.run(spell, timeout=TIMEOUT_SECONDS, check=True, capture_output=True).stdout


# --- the server's memory (backend/keys/process.py) ------------------------------------------------

# The same user without root's powers, who may read whatever of root's is not kept from root.
POWERLESS = () if os.geteuid() else ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")
needs_gcore = pytest.mark.skipif(
    shutil.which("gcore") is None or shutil.which(*POWERLESS[:1] or ("env",)) is None,
    reason="needs gcore, and setpriv when the tests run as root",
)


def dump_memory(pid: int, folder: Path, *, by: tuple[str, ...] = POWERLESS) -> Path | None:
    """What gcore writes for this user; None when it is not let in."""
    subprocess.run(
        [*by, "gcore", "-o", str(folder / "dump"), str(pid)],
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    path = folder / f"dump.{pid}"
    return path if path.exists() else None


@contextmanager
def powerless_process(
    command: list[str], folder: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """In `folder`, where a core would be written: as many bytes of it as this machine allows."""
    allow = ["sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', "sh"]
    process = subprocess.Popen(
        [*allow, *POWERLESS, *command],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_SECONDS)


@contextmanager
def powerless_city(folder: Path) -> Iterator[Instance]:
    instance = Instance(folder / "var", free_port(), free_port(), with_passphrase(folder))
    settings = environment(instance.var, instance.public_port, instance.internal_port)
    env = {**settings, **instance.settings, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "backend", "run", "--no-story"]
    with powerless_process(command, folder, env) as instance.process:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(instance.public):
            assert instance.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)  # sleep: until another process listens
        yield instance


@needs_gcore
def test_the_servers_memory_is_kept_from_its_own_user(tmp_path: Path) -> None:
    """No debugger and no core for the user it runs as; an ordinary process of that user is read.
    Root is let in, as the promise says: that is how we see what is kept from the others."""
    ordinary = [sys.executable, "-c", "print('up', flush=True); input()"]
    with powerless_process(ordinary, tmp_path, {**os.environ}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        if dump_memory(process.pid, tmp_path) is None:
            pytest.skip("this machine lets a user read no process at all")
    with powerless_city(tmp_path) as instance:
        assert instance.process is not None
        pid = instance.process.pid
        assert dump_memory(pid, tmp_path) is None
        if not os.geteuid():
            seen = dump_memory(pid, tmp_path, by=())
            assert seen is not None
            content = seen.read_bytes()
            seen.unlink()
            raw = [Quarry(one.name, {"raw": one.forms["raw"]}) for one in keys_of_store(instance)]
            assert len(hunt(raw, {"memory": content})) > 3
        instance.process.send_signal(signal.SIGABRT)
        assert instance.process.wait(TIMEOUT_SECONDS) == -signal.SIGABRT
        assert list(tmp_path.glob("core*")) == []


def keys_of_store(instance: Instance) -> list[Quarry]:
    return [one for one in keys_of(instance) if one.name.startswith("key ")]
