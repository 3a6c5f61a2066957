"""What can go wrong for an app, as types with stable codes. Knows nothing of HTTP or files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class SdkError(Exception):
    """Everything this package raises on purpose; anything else is a bug."""


class Offline(SdkError):
    """The backend could not be reached, and nothing was done there."""


class OutcomeUnknown(SdkError):
    """The request may have been done. It is stored: `Wallet.resume()` learns the answer.

    Until then a new operation of the same kind is not begun, so nothing is done twice.
    """

    def __init__(self, operation_id: str, kind: str) -> None:
        super().__init__(f"{kind} {operation_id}: outcome not known yet, call resume()")
        self.operation_id = operation_id
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as the backend told it (RFC 9457 problem details with our members)."""

    status: int
    code: str
    detail: str
    retryable: bool = False
    article: str | None = None
    request_id: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)


class Refused(SdkError):
    """A rule said no; `code` is stable, `detail` is in the caller's language."""

    def __init__(self, problem: Problem, *, earlier_attempt_open: bool = False) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem
        self.earlier_attempt_open = earlier_attempt_open

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def retryable(self) -> bool:
        return self.problem.retryable

    @property
    def article(self) -> str | None:
        return self.problem.article

    @property
    def data(self) -> Mapping[str, object]:
        return self.problem.data


class LoginLocked(Refused):
    """Too many wrong one-time codes: this code is void, the right one too. Ask for another.

    `until`: when the lock ends by itself; `new_code_at`: from when another code may be asked for
    (None where the backend did not say). Both by the backend's clock.
    """

    def __init__(self, problem: Problem, until: datetime, new_code_at: datetime | None) -> None:
        super().__init__(problem)
        self.until = until
        self.new_code_at = new_code_at


class SignedOut(SdkError):
    """There is no session, or the backend ended it: log in again. Stored operations stay.

    `reason` is stable: `no_session`, or the backend's code, e.g. `session_ended`. After
    `refresh_reused` a copy of this phone's tokens was used: tell the holder so.
    """

    def __init__(self, detail: str, reason: str = "no_session") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    @property
    def was_copied(self) -> bool:
        return self.reason == "refresh_reused"


class NotReady(SdkError):
    """A step is missing on this phone. `code` names it, e.g. `no_card`, `keys_expired`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ClockWrong(NotReady):
    """The phone's clock was set back: codes made by it would be refused. Go online once, and the
    time is learnt again."""

    def __init__(self, back_seconds: float) -> None:
        super().__init__("clock_wrong", f"the phone's clock went back {back_seconds:.0f} s")
        self.back_seconds = back_seconds


class CodeUnreadable(SdkError):
    """The scanned content is not a merchant code; `code` is stable."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class AnswerMalformed(SdkError):
    """The backend answered with a document of another shape: a bug of one side."""


class KeysUnreadable(SdkError):
    """Sealed card keys could not be opened with this phone's key."""


class StorageFailed(SdkError):
    """The state could not be written; nothing was sent."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class StorageDamaged(SdkError):
    """A stored file is not what was written; it is left as it is, for support to look at.

    The way out is `Wallet.re_enrol(storage)`. The money is at the backend, not in the file.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
