"""A card that vouches for itself, to try a reader with; no issuer knows it. Reads no clock."""

from __future__ import annotations

import secrets
from typing import Final

from card_protocol.mobile_card import (
    CRYPTOGRAM_KEY_BYTES,
    Certificate,
    Suite,
    luhn_check_digit,
)
from hce.card_file import CardRecord
from hce.ports import LimitedUseKey
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import FileCardStore

NUMBER_PREFIX: Final = "9156"  # ISO/IEC 7812-1: for national use, then the country
RANDOM_DIGITS: Final = 14
PRODUCT: Final = "DEMONSTRATION"
VALID_SECONDS: Final = 5 * 365 * 86_400
ISSUER_KEY_INDEX: Final = 255  # far from those an issuer begins with
KEY_USES: Final = 20  # design A.2
KEY_VALID_SECONDS: Final = 120 * 3_600


def make_demonstration(
    now_seconds: int,
    suite: Suite = Suite.AES_ES256,
    issuer: SoftwareSigner | None = None,
    offline_max_fen: int = 0,
) -> CardRecord:
    """A fresh card: random number and keys. Without an issuer of the suite it gets one of its own,
    whose private key is thrown away. `offline_max_fen`: what it may owe, in one sale and in all."""
    issuer, device = issuer or SoftwareSigner.generate(suite), SoftwareSigner.generate(suite)
    digits = NUMBER_PREFIX + "".join(secrets.choice("0123456789") for _ in range(RANDOM_DIGITS))
    certificate = Certificate(
        token_number=digits + luhn_check_digit(digits),
        device_public_key=device.public_key,
        product=PRODUCT,
        concession_group=0,
        not_before=now_seconds,
        not_after=now_seconds + VALID_SECONDS,
        offline_sale_max_fen=offline_max_fen,
        offline_sum_max_fen=offline_max_fen,
        status_index=0,
        issuer_key_index=ISSUER_KEY_INDEX,
        suite=suite,
    ).signed_by(issuer.sign)
    state = CardState(certificate, key=_make_key(1, now_seconds, suite))
    return CardRecord(state, device.to_der(), issuer.public_key)


def renew_key_if_needed(store: FileCardStore, now_seconds: int) -> None:
    """What an issuer would do below one third, the card does for itself.

    A card of a real issuer is left alone: its keys come from there.
    """
    record = store.record()
    if record.issuer_public_key is None:
        return

    def renew(state: CardState) -> CardState:
        key, suite = state.key, state.certificate.suite
        if key is None:
            return state.with_key(_make_key(1, now_seconds, suite))
        if key.uses_left * 3 >= KEY_USES and key.is_valid_at(now_seconds + KEY_VALID_SECONDS // 3):
            return state
        return state.with_key(_make_key(key.index + 1, now_seconds, suite))

    store.change(renew)


def _make_key(index: int, now_seconds: int, suite: Suite) -> LimitedUseKey:
    return LimitedUseKey(
        index=index,
        version=1,
        value=secrets.token_bytes(CRYPTOGRAM_KEY_BYTES),
        uses_left=KEY_USES,
        not_after=now_seconds + KEY_VALID_SECONDS,
        suite=suite,
    )
