"""Reads the documentation pages: their fenced blocks and their tables."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def text_of(name: str) -> str:
    """The page `name`, e.g. "operator.md" or "runbooks/restore.md"."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language, in their order; never none."""
    found = re.findall(rf"^```{language}\n(.*?)^```", text_of(name), re.DOTALL | re.MULTILINE)
    assert found, f"{name} has no block marked {language}"
    return found


def table_rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose header begins with `heading`."""
    lines = iter(text_of(name).splitlines())
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)  # the line of dashes
            for row in lines:
                if not row.startswith("|"):
                    return rows
                rows.append([cell.strip() for cell in row.strip("|").split(" | ")])
    assert rows, f"{name} has no table that begins with {heading}"
    return rows
