"""What tests of `python -m hce` share: a bench's key file, and a purse's state read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hce.applets.epurse.state import KeyKind, PurseState
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS, IssuerKeys

NUMBER = "3101234567890123456"
Run = Callable[..., tuple[int, str, str]]  # arguments -> exit code, stdout, stderr


def document(**changes: object) -> dict[str, Any]:
    """A bench's key file."""
    masters = {kind.name: bytes([kind] * 16).hex() for kind in KeyKind}
    return {
        "format": "city-purse-keys",
        "version": 1,
        "is_test": False,
        "issuer": "01013310FFFFFFFF",
        "levels": 1,
        "sealing_key": "5A" * 32,
        "pin": "1234",
        "masters": {"3des": masters},
    } | changes


def write_keys(path: Path, body: object = None, mode: int = 0o600) -> Path:
    text = body if isinstance(body, str) else json.dumps(document() if body is None else body)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def state_in(path: Path, keys: IssuerKeys = TEST_KEYS) -> PurseState:
    with PurseFileStore(path, keys.sealing_key) as store:
        return store.view()
