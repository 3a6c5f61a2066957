"""The form of refresh tokens: session, generation, secret, and a tag only this city can make."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field

from backend.identity.errors import RefreshInvalid
from backend.identity.vault import Vault

TAG_BYTES = 16
_FORM = re.compile(
    r"(ses_[0-9a-z]{26})\.(0|[1-9][0-9]{0,8})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})"
)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token of a session's `generation`-th rotation; only its mac is ever stored."""

    session_id: str
    generation: int
    text: str = field(repr=False)

    def mac(self, vault: Vault) -> bytes:
        return vault.secret_mac("refresh_token", self.text)

    def next(self, vault: Vault, jti: str) -> RefreshToken:
        """The token this one rotates to with the proof `jti`: the same whenever asked."""
        secret = vault.secret_mac("refresh_next", self.text, jti)
        return _seal(vault, self.session_id, self.generation + 1, secret)


def first_token(vault: Vault, session_id: str, thumbprint: str) -> RefreshToken:
    """The token a log-in brings to the device key of this thumbprint (RFC 7638).

    The same whenever asked, so that it need not be stored.
    """
    secret = vault.secret_mac("refresh_first", session_id, thumbprint)
    return _seal(vault, session_id, 0, secret)


def parse_token(vault: Vault, text: str) -> RefreshToken:
    """A token of ours, of whatever age. Raises RefreshInvalid."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise RefreshInvalid
    session_id, generation, secret, tag = match.groups()
    if not hmac.compare_digest(tag, _tag(vault, session_id, int(generation), secret)):
        raise RefreshInvalid
    return RefreshToken(session_id, int(generation), text)


def _seal(vault: Vault, session_id: str, generation: int, secret: bytes) -> RefreshToken:
    shown = _b64u(secret)
    tag = _tag(vault, session_id, generation, shown)
    return RefreshToken(session_id, generation, f"{session_id}.{generation}.{shown}.{tag}")


def _tag(vault: Vault, session_id: str, generation: int, secret: str) -> str:
    mac = vault.secret_mac("refresh_tag", session_id, str(generation), secret)
    return _b64u(mac[:TAG_BYTES])


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
