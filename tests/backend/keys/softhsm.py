"""Makes SoftHSM tokens for tests, with its own tool."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from backend.keys.hsm_library import initialize

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN, SO_PIN = "2468", "13579"


def restart() -> None:
    """As if the device had been switched off and on: sessions and login are gone."""
    assert ctypes.CDLL(str(MODULE)).C_Finalize(None) == 0
    initialize(MODULE)


def make_token(folder: Path, label: str) -> Path:
    """The configuration file of a new SoftHSM with one token; skips where there is none."""
    if not MODULE.exists():
        pytest.skip(f"{MODULE} is missing: apt-get install softhsm2")
    (folder / "tokens").mkdir(parents=True, exist_ok=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\n"
        "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    command = ["softhsm2-util", "--init-token", "--free", "--label", label]
    subprocess.run(
        [*command, "--pin", PIN, "--so-pin", SO_PIN],
        check=True,
        capture_output=True,
        timeout=30,
        env={**os.environ, "SOFTHSM2_CONF": str(configuration)},
    )
    return configuration
