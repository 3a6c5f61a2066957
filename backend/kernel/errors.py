"""What a refusal is: a kind (what the caller can do), a stable code, words and data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What the caller can do about it; each edge translates this once."""

    INVALID = "invalid"  # repair the request
    UNAUTHENTICATED = "unauthenticated"  # say who you are
    FORBIDDEN = "forbidden"  # you are known, but may not
    UNKNOWN = "unknown"  # the thing named does not exist, or is not yours
    CONFLICT = "conflict"  # the thing exists, in another state
    REFUSED = "refused"  # a rule of money or of security says no
    LIMITED = "limited"  # too often; wait
    UNAVAILABLE = "unavailable"  # ours to repair; ask again


@dataclass(frozen=True, slots=True)
class Words:
    """One text in the languages of the interface; `{name}` is filled from a refusal's data."""

    zh: str
    en: str

    def text(self, language: str, **data: object) -> str:
        """The text in `language` ("zh" or "en"; anything else reads as "zh")."""
        template = self.en if language == "en" else self.zh
        return template.format(**data)


class DomainError(Exception):
    """A refusal the caller can understand. Bugs are never DomainErrors.

    Subclasses state kind, code and words; keyword arguments of the constructor are public
    data: they fill the words and travel in the problem document (RFC 9457, section 3.2).
    """

    kind: ClassVar[Kind]
    code: ClassVar[str]  # stable, public, documented: clients switch on it
    title: ClassVar[Words]
    detail: ClassVar[Words]
    retryable: ClassVar[bool] = False

    def __init__(self, *, article: Words | str | None = None, **data: object) -> None:
        super().__init__(self.code)
        self.article = article
        self.data = data

    @property
    def is_lasting(self) -> bool:
        """Whether asking the same thing again must hear the same answer."""
        return self.kind in (Kind.UNKNOWN, Kind.CONFLICT, Kind.REFUSED, Kind.FORBIDDEN)
