"""What a value of this package refuses with; knows nothing of status words or HTTP."""

from __future__ import annotations


class MalformedBytes(ValueError):
    """Bytes, text or fields that cannot be the value asked for.

    Raised by every `decode`, and at birth when a value is built from fields out of range.
    `code` is stable: callers switch on it. The text never quotes the input, which may be secret.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class SuiteNotSupported(Exception):
    """A known cipher suite, and no key of it here."""

    code = "suite_not_supported"


class CodeRefused(Exception):
    """A code that reads well and may not pass; `code` is stable, callers switch on it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
