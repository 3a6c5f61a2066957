"""Resolves requirements*.in into pinned requirements*.txt (`make lock`); installs nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Resolved from {source} by `make lock`: do not edit by hand.\n"


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(report: dict[str, object]) -> dict[str, str]:
    """Name -> version of everything a pip report would install (pip's report format, version 1)."""
    found: dict[str, str] = {}
    install = report["install"]
    if not isinstance(install, list):
        raise TypeError("pip's report has no list of what it would install")
    for item in install:
        metadata = item["metadata"]
        found[canonical(metadata["name"])] = metadata["version"]
    return found


def resolve(source: Path, constraint: Path | None = None) -> dict[str, str]:
    """Asks pip what `source` resolves to on this machine.

    Raises subprocess.CalledProcessError when it does not resolve; pip has said why on stderr.
    """
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
    command += ["--report", "-", "-r", str(source)]
    if constraint is not None:
        command += ["-c", str(constraint)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    return pins(json.loads(done.stdout))


def write(target: Path, source: Path, found: dict[str, str], first_lines: str = "") -> None:
    """Writes one pinned file: a header, then name==version, sorted."""
    lines = "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
    target.write_text(HEADER.format(source=source.name) + first_lines + lines, encoding="utf-8")
    print(f"{target.name}: {len(found)} pinned")


def main() -> int:
    """Resolves what runs, then what tests and checks need on top of it."""
    runtime_in, runtime_txt = ROOT / "requirements.in", ROOT / "requirements.txt"
    dev_in, dev_txt = ROOT / "requirements-dev.in", ROOT / "requirements-dev.txt"
    runtime = resolve(runtime_in)
    write(runtime_txt, runtime_in, runtime)
    dev = resolve(dev_in, constraint=runtime_txt)
    extra = {name: version for name, version in dev.items() if name not in runtime}
    write(dev_txt, dev_in, extra, first_lines="-r requirements.txt\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
