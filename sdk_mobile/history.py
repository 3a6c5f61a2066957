"""The statement's lines, fetched as far as they are new. Knows nothing of storage."""

from __future__ import annotations

from dataclasses import dataclass

from sdk_mobile.models import Line
from sdk_mobile.session import Sessions, read

PAGE_LINES = 50
LINES_MAX = 500


@dataclass(frozen=True, slots=True)
class _Page:
    data: tuple[Line, ...]
    next: str | None = None


def fetch_lines(sessions: Sessions, wallet_id: str, known: tuple[Line, ...]) -> tuple[Line, ...]:
    """Newest first, at most LINES_MAX: what is new, then `known`. Nothing is kept of a fetch that
    breaks off, so there is never a gap between the two."""
    known_ids = {line.line_id for line in known}
    fresh: dict[str, Line] = {}
    after: str | None = None
    for _ in range(LINES_MAX // PAGE_LINES):
        cursor = (("after", after),) if after else ()
        path = f"/v1/me/wallets/{wallet_id}/lines"
        page: _Page = read(_Page, sessions.get(path, ("limit", str(PAGE_LINES)), *cursor))
        for line in page.data:
            if line.line_id in known_ids:
                return (*fresh.values(), *known)[:LINES_MAX]
            fresh[line.line_id] = line
        after = page.next
        if after is None:
            break
    return tuple(fresh.values())[:LINES_MAX]
