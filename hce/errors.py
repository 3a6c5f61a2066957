"""What a card, its file or its plug can refuse with; knows nothing of status words."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class CardRefusal(Exception):
    """A rule of the card says no: the terminal hears a status word, nothing was counted."""

    code: ClassVar[str]


class CardSuspended(CardRefusal):
    """The issuer or the holder stopped the card (挂失)."""

    code = "card_suspended"


class NoKeysLeft(CardRefusal):
    """No limited-use key on the device, or every use of it is spent: the app has to go online."""

    code = "no_keys_left"


class KeyExpired(CardRefusal):
    """The limited-use key is older than the issuer allows: the app has to go online."""

    code = "key_expired"


class CounterExhausted(CardRefusal):
    """ATC FFFF was given out: the token has to be replaced."""

    code = "counter_exhausted"


class KeyNotNewer(ValueError):
    """A limited-use key older than the one in use, or another under the same index."""

    code = "key_not_newer"


class CardFileProblem(Exception):
    """A card file that cannot be used; the text names the file and never quotes what is in it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class CardFileMissing(CardFileProblem):
    """No such file."""


class CardFileExists(CardFileProblem):
    """A new card never takes the place of another."""


class CardFileDamaged(CardFileProblem):
    """The file is there and is not what was written."""


class CardFileFailed(CardFileProblem):
    """The operating system refused to read or write; what was stored before still stands."""


class CardFileExposed(CardFileProblem):
    """Secrets in it that others than its owner may read."""


class CardFileUnfit(CardFileProblem):
    """A good file that does not go with what was asked for."""


class CardAbsent(ConnectionError):
    """The card is not in the field."""


class ReaderUnreachable(ConnectionError):
    """No virtual reader listens there, or none answers: pcscd is down or the slot is taken."""
