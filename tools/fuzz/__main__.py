"""`python -m tools.fuzz`: every registered function, then the decoders under atheris.

One line a target, its mix of mutations and outcomes under it. 0: nothing found; 1: something was,
with the seed and the input that play it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.bench import ROOT
from tools.fuzz.decoders import DECODERS
from tools.fuzz.report import FuzzFailed, FuzzReport
from tools.fuzz.targets import Fuzz, all_targets

COUNT, COUNT_MAX = 1_000_000, 1_000_000_000
GUIDED: Final = "guided"
GUIDED_SECONDS, GUIDED_SECONDS_MAX = 60, 86_400
GRACE_SECONDS: Final = 60
SEED_BITS: Final = 31
KEPT: Final = ROOT / "var" / "fuzz"
DONE: Final = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)


def main(arguments: Sequence[str] | None = None) -> int:
    targets = all_targets()
    chosen = _parser(targets).parse_args(arguments)
    seed = secrets.randbits(SEED_BITS) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    try:
        found = _run_all(targets, seed, chosen)
    except KeyboardInterrupt:
        print("fuzz: interrupted", file=sys.stderr)
        return 130
    print(f"fuzz_findings={found}")
    return 1 if found else 0


def _run_all(
    targets: Mapping[str, tuple[Fuzz, float]], seed: int, chosen: argparse.Namespace
) -> int:
    """How many targets found something."""
    found = 0
    for name, (fuzz, share) in targets.items():
        if chosen.only in {None, name}:
            found += not _run(name, fuzz, seed, max(1, int(chosen.count * share)))
    if chosen.only in {None, GUIDED} and chosen.guided_seconds:
        found += not _run_guided(seed, chosen.guided_seconds)
    return found


def _parser(targets: Mapping[str, object]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--count", type=_whole(1, COUNT_MAX), default=COUNT)
    parser.add_argument("--seed", type=_whole(0, 2**SEED_BITS - 1), help="plays a run again")
    parser.add_argument("--only", choices=[*targets, GUIDED])
    parser.add_argument(
        "--guided-seconds",
        type=_whole(0, GUIDED_SECONDS_MAX),
        default=GUIDED_SECONDS,
        help="of atheris; 0 leaves it out",
    )
    return parser


class _whole:  # noqa: N801 - reads as the type argparse wants
    """A whole number in a range."""

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest

    def __call__(self, text: str) -> int:
        number = int(text)
        if not self._lowest <= number <= self._highest:
            raise ValueError
        return number


def _run(name: str, fuzz: Fuzz, seed: int, count: int) -> bool:
    began = time.monotonic()
    try:
        report = fuzz(seed, count)
    except FuzzFailed as found:
        print(f"{name}: FOUND: {found}", flush=True)
        return False
    _tell(name, report, time.monotonic() - began)
    return True


def _tell(name: str, report: FuzzReport, seconds: float) -> None:
    speed = report.count / max(seconds, 1e-9)
    print(
        f"{name}: {report.count} inputs, {seconds:.1f} s, {speed:.0f}/s, "
        f"slowest {report.slowest_ms:.1f} ms"
    )
    print(f"  mix: {shares(report.mix)}")
    print(f"  outcomes: {shares(report.outcomes)}", flush=True)


def shares(counts: Mapping[str, int]) -> str:
    """The most frequent first."""
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {count}" for name, count in ordered)


def _run_guided(seed: int, seconds: int) -> bool:
    """atheris for a bounded time; what it finds stays in var/fuzz."""
    if importlib.util.find_spec("atheris") is None:
        print(f"{GUIDED}: LEFT OUT, atheris is not installed", flush=True)
        return True
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="city-fuzz-") as folder:
        _write_seeds(Path(folder))
        command = [sys.executable, "-m", "tools.fuzz.guided", folder]
        command += [f"-max_total_time={seconds}", f"-seed={seed or 1}", "-timeout=5"]
        command += [f"-artifact_prefix={KEPT}/", "-max_len=1024"]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds + GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"{GUIDED}: FOUND: still running {GRACE_SECONDS} s after its time", flush=True)
            return False
    counted = DONE.search(done.stderr)
    if done.returncode or counted is None:
        print(f"{GUIDED}: FOUND:\n{done.stderr[-2000:]}{done.stdout[-2000:]}", flush=True)
        return False
    print(f"{GUIDED}: {counted[1]} inputs in {counted[2]} s, nothing found", flush=True)
    return True


def _write_seeds(folder: Path) -> None:
    for index, decoder in enumerate(DECODERS.values()):
        for number, body in enumerate(decoder.good):
            (folder / f"{index}-{number}").write_bytes(bytes((index,)) + body)


if __name__ == "__main__":
    raise SystemExit(main())
