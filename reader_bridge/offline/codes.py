"""Which codes a till takes: identity codes say who somebody is, they never pay."""

from __future__ import annotations

from card_protocol.identity_code import TEXT_START
from reader_bridge.faults import CodeFault


def require_no_identity_code(text: str) -> None:
    """Raises CodeFault(identity_code_not_accepted)."""
    if text.strip().startswith(TEXT_START):
        raise CodeFault("identity_code_not_accepted")
