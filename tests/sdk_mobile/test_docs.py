"""The quick start for app developers runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import sdk_mobile
from tests.sdk_mobile.fake_backend import CODE
from tests.sdk_mobile.test_flows import STATIC_CODE

PAGE = Path(__file__).parents[2] / "docs" / "citizen-app-developer.md"


def test_the_examples_run_in_their_order(backend, tmp_path, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 8
    names = {
        "url": backend.url,
        "directory": str(tmp_path / "phone"),
        "code": CODE,
        "scanned": STATIC_CODE,
    }
    try:
        exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    finally:
        if "wallet" in names:
            names["wallet"].close()
    assert names["balance"].balance_fen == 20_000 - 1_250
    assert names["wallet"].phone_card().state == "suspended"
    assert "top_up 20000" in capsys.readouterr().out


def test_every_error_of_the_page_exists():
    page = PAGE.read_text("utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row.split("|")[1])}
    assert named
    assert all(issubclass(getattr(sdk_mobile, name), sdk_mobile.SdkError) for name in named)
