"""The bridge as a terminal has it: out of the wheel, with nothing but its extra's packages.

The wheel is built offline and unpacked; a finder in front of all others lets only the standard
library and the extra's closure through, in an interpreter of its own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from reader_bridge.terminal import Terminal
from tests.packaging.closure import OURS, ROOT, closure, modules_of

SETUPTOOLS_MIN = 77
SECONDS = 60
LIST = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--")
BARRED = ("flask", "flask_smorest", "sqlalchemy", "gevent", "marshmallow")

# Runs `reader_bridge` as the installed script does. Arguments: folder, allowed modules as JSON.
RUNNER = """
import importlib.abc, json, sys
folder, allowed = sys.argv[1], frozenset(json.loads(sys.argv[2]))

class Bar(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        is_python = top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        if top not in allowed and not is_python:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)
        return None

sys.meta_path.insert(0, Bar())
sys.path.insert(0, folder)
sys.argv = ["reader-bridge", *sys.argv[3:]]
"""
SCRIPT = RUNNER + "from reader_bridge.__main__ import run\nsys.exit(run())\n"
IMPORT = RUNNER + "__import__(sys.argv[1])\n"

Start = Callable[..., subprocess.Popen[str]]


def release_of_setuptools() -> int:
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would commit, so that nothing lying about comes along."""
    if release_of_setuptools() < SETUPTOOLS_MIN:
        pytest.skip(f"NOT TESTED: the wheel; setuptools >= {SETUPTOOLS_MIN} is not installed")
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        [*LIST, "pyproject.toml", "LICENSE", *sorted(OURS)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    options = ["--no-index", "--disable-pip-version-check", "-q", "-w", str(made), str(source)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=SECONDS * 2, check=False
    )
    assert done.returncode == 0, done.stderr
    (found,) = made.glob("city_card-*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def start(unpacked: Path, tmp_path: Path) -> Start:
    allowed = json.dumps(sorted(modules_of(closure("bridge")) | OURS))

    def begin(*words: object, script: str = SCRIPT) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-I", "-c", script, str(unpacked), allowed, *map(str, words)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        scripts = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == OURS
    assert "reader-bridge = reader_bridge.__main__:run" in scripts
    for package in sorted(OURS):
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert wanted <= names


@pytest.mark.parametrize("module", BARRED)
def test_the_backends_packages_are_not_there(start: Start, module: str):
    assert importlib.util.find_spec(module) is not None  # here they are
    code, _, err = ended(start(module, script=IMPORT))
    assert code == 1
    assert err.splitlines()[-1] == f"ModuleNotFoundError: No module named '{module}'"


def test_help_and_a_folder_that_is_no_terminal(start: Start, tmp_path: Path):
    code, out, err = ended(start("--help"))
    assert (code, err) == (0, "")
    assert out.startswith("usage: reader-bridge ")
    code, out, err = ended(start("self-test", "--state", tmp_path / "none", "--json", "--port", 0))
    assert (code, err) == (1, "")
    codes = {line["name"]: line["code"] for line in json.loads(out)["lines"]}
    assert codes["folder"] == "folder_missing"
    assert codes["pcsc"] == "driver_missing"


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("readers",), "bridge-pcsc"),
        (
            ("sell", "--amount", "1", "--register-reference", "R", "--picture", "a.png"),
            "bridge-camera",
        ),
    ],
)
def test_a_missing_driver_is_one_line_that_says_what_to_install(
    start: Start, tmp_path: Path, words: tuple[str, ...], extra: str
):
    (tmp_path / "a.png").write_bytes(b"no picture")
    code, out, err = ended(start(*words, "--language", "en"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"is not installed: pip install 'city-card[{extra}]'\n")


@pytest.fixture
def served(start: Start, terminal: Terminal, folder: Path) -> Iterator[subprocess.Popen[str]]:
    terminal.close()
    process = start("serve", "--state", folder, "--port", 0, "--no-pcsc")
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def test_it_serves_the_page(served: subprocess.Popen[str]):
    assert served.stdout is not None
    link = served.stdout.readline().strip()
    assert link.startswith("http://127.0.0.1:"), link
    with httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=True) as browser:
        page = browser.get(link)
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        script = browser.get(page.url.join("/page/main.js"))
        assert script.text == (ROOT / "reader_bridge/local/page/main.js").read_text("utf-8")
    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=SECONDS) == 0
