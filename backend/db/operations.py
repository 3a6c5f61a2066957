"""Safe retries: the id of an operation decides, its first answer is kept, its content compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from backend.kernel import DomainError, Kind, Words


class IdempotencyConflict(DomainError):
    kind, code = Kind.CONFLICT, "idempotency_conflict"
    title = Words(zh="同一编号内容不同", en="Same id, other content")
    detail = Words(
        zh="此编号已用于另一内容，不同的字段：{fields}。",
        en="This id was used for another content; what differs: {fields}.",
    )


class OperationRunning(DomainError):
    kind, code, retryable = Kind.CONFLICT, "operation_running", True
    title = Words(zh="正在处理", en="Still running")
    detail = Words(
        zh="同一编号的请求正在处理，请稍后再问。",
        en="The request with this id is still running; ask again shortly.",
    )

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=1)


class ConcurrentChange(DomainError):
    kind, code, retryable = Kind.CONFLICT, "concurrent_change", True
    title = Words(zh="同时有另一请求", en="Another request at the same moment")
    detail = Words(
        zh="另一请求刚使用了同一编号，请重试。",
        en="Another request just used the same id; try again.",
    )

    @property
    def is_lasting(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the edge told the caller: HTTP status and body, to the byte."""

    status: int
    body: str


class AnsweredBefore(Exception):
    """Not a refusal: the operation was decided earlier, and `answer` was said then."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


class DryRun(Exception):
    """Not a refusal: nothing was kept; `answer` is what would have been said."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("dry run")
        self.answer = answer


@dataclass(slots=True)
class Operation:
    """One command as its caller named it.

    scope: who asks for what (caller and command); key: the caller's id for it;
    content: field name -> digest of its value; `render` turns a result or a refusal into
    the answer, which is stored with the effects in one transaction; `is_dry_run`: decide as
    ever, say so, and keep neither.
    """

    scope: str
    key: str
    content: Mapping[str, str]
    render: Callable[[Any], Answer]
    is_dry_run: bool = False
    said: Answer | None = field(default=None, init=False)

    def differs_from(self, content: Mapping[str, str]) -> list[str]:
        """Names of the fields whose values differ from an earlier request's."""
        names = sorted({*content, *self.content})
        return [name for name in names if content.get(name) != self.content.get(name)]


class Running:
    """Operations under way in this process: the second request with an id is told to wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def claim(self, operation: Operation) -> Iterator[None]:
        """Holds the id for the block. Raises OperationRunning when somebody else holds it."""
        name = (operation.scope, operation.key)
        with self._lock:
            if name in self._keys:
                raise OperationRunning
            self._keys.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(name)
