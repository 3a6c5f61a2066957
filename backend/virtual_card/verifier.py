"""Checks taps and pay codes: genuine, in time, of a card that may pay. Reads only."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from backend.db import Units, Which, Work
from backend.kernel import DomainError
from backend.keys import Keys
from backend.virtual_card import tables
from backend.virtual_card.cards import require_usable
from backend.virtual_card.errors import (
    CryptogramInvalid,
    KeyExpired,
    KeyUnknown,
    PayCodeAltered,
    PayCodeExpired,
    PayCodeForeign,
    PayCodeMalformed,
    PayCodeNotYetValid,
    PayCodeUnknown,
    SignatureInvalid,
    SuiteRefused,
    TapMalformed,
    TokenUnknown,
)
from backend.virtual_card.key_service import TokenKeys
from backend.virtual_card.model import VerifiedProof
from card_protocol import mobile_card, pay_code
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse, Suite, TransactionData

NEIGHBOUR_STEPS = 1  # a phone's clock may be half a minute off
TOLD_APART_STEPS = 60 * 60 // pay_code.STEP_SECONDS
BATCHES_TRIED_MAX = 8
PAY_CODE_REFUSALS: Mapping[str, type[DomainError]] = {
    pay_code.CODE: PayCodeMalformed,
    pay_code.FOREIGN_CODE: PayCodeForeign,
}


@dataclass(frozen=True, slots=True)
class TapVerifier:
    """Genuineness is asked before state: only the card itself learns that it is suspended."""

    units: Units
    keys: Keys = field(repr=False)

    def verify_tap(self, pdol_data: bytes, gpo_response: bytes, now: datetime) -> VerifiedProof:
        """The proof in a tap (design A.2).

        Raises TapMalformed, SuiteRefused, TokenUnknown, KeyUnknown, CryptogramInvalid,
        SignatureInvalid, TokenSuspended, TokenDeleted, KeyExpired.
        """
        transaction, tap = _decode_tap(pdol_data, gpo_response)
        if tap.iad.suite is not Suite.AES_ES256:
            raise SuiteRefused
        with self.units.read(Which.BUSINESS) as work:
            token = _find_token(work, tables.number.c.token_number, tap.token_number)
            batch = None if token is None else _find_batch(work, token, tap.iad.key_index)
        if token is None:
            raise TokenUnknown
        if batch is None or batch.key_version != tap.iad.key_version:
            raise KeyUnknown
        self._check_genuine(pdol_data, tap, token)
        require_usable(token.state)
        if batch.not_after <= now:
            raise KeyExpired
        return VerifiedProof(
            token_id=token.token_id,
            token_number=token.token_number,
            wallet_id=token.wallet_id,
            person_id=token.person_id,
            kind="tap",
            counter=tap.atc,
            key_index=batch.key_index,
            key_uses_max=batch.uses_max,
            holder_check=tap.iad.holder_check,
            transaction=transaction,
        )

    def verify_pay_code(self, content: str, now: datetime) -> VerifiedProof:
        """The proof in a pay code (design A.3).

        Raises PayCodeMalformed, PayCodeForeign, PayCodeUnknown, PayCodeExpired,
        PayCodeNotYetValid, PayCodeAltered, TokenSuspended, TokenDeleted.
        """
        try:
            code = pay_code.decode(content)
        except MalformedBytes as error:
            raise PAY_CODE_REFUSALS.get(error.code, PayCodeMalformed) from None
        with self.units.read(Which.BUSINESS) as work:
            token = _find_token(work, tables.short_number.c.short_number, code.short_number)
            batches = [] if token is None else _recent_batches(work, token.token_id, now)
        if token is None:
            raise PayCodeUnknown
        batch, step = self._find_step(token, batches, code.one_time, now)
        require_usable(token.state)
        return VerifiedProof(
            token_id=token.token_id,
            token_number=token.token_number,
            wallet_id=token.wallet_id,
            person_id=token.person_id,
            kind="pay_code",
            counter=step,
            key_index=batch.key_index,
            key_uses_max=batch.uses_max,
            holder_check=None,
            transaction=None,
        )

    def _check_genuine(self, pdol_data: bytes, tap: GpoResponse, token: Row[Any]) -> None:
        """Raises CryptogramInvalid, SignatureInvalid."""
        iad = tap.iad.encode()
        data = mobile_card.cryptogram_input(pdol_data, tap.aip, tap.atc, iad)
        key = TokenKeys(self.keys).limited_use_key(token.token_number, tap.iad.key_index)
        expected = mobile_card.compute_cryptogram(tap.iad.suite, key, data)
        if not hmac.compare_digest(expected, tap.cryptogram):
            raise CryptogramInvalid
        signed = mobile_card.signature_input(pdol_data, tap.aip, tap.atc, iad, tap.cryptogram)
        if not mobile_card.verify_signature(token.device_public_key, signed, tap.signature):
            raise SignatureInvalid

    def _find_step(
        self, token: Row[Any], batches: Sequence[Row[Any]], one_time: str, now: datetime
    ) -> tuple[Row[Any], int]:
        """The batch and time step that give these digits now; else why they are refused."""
        derive = TokenKeys(self.keys).pay_code_key
        keyed = [(one, derive(token.token_number, one.key_index)) for one in batches]
        live = [(one, key) for one, key in keyed if one.not_after > now]
        step = pay_code.step_at(int(now.timestamp()))
        first, last = step - NEIGHBOUR_STEPS, step + NEIGHBOUR_STEPS
        if (found := _match(live, range(first, last + 1), one_time)) is not None:
            return found
        # Keys that ended within the hour count here: their codes were right once.
        if _match(keyed, range(last, step - TOLD_APART_STEPS - 1, -1), one_time) is not None:
            raise PayCodeExpired
        if _match(live, range(last + 1, step + TOLD_APART_STEPS + 1), one_time) is not None:
            raise PayCodeNotYetValid
        raise PayCodeAltered


def _decode_tap(pdol_data: bytes, gpo_response: bytes) -> tuple[TransactionData, GpoResponse]:
    try:
        transaction = TransactionData.decode(pdol_data)
        tap = GpoResponse.decode(gpo_response)
    except MalformedBytes:
        raise TapMalformed from None
    if tap.cryptogram_information != mobile_card.CRYPTOGRAM_INFORMATION_ONLINE:
        raise TapMalformed  # the card declined, or says something we never made
    return transaction, tap


def _find_token(work: Work, column: Any, value: str) -> Row[Any] | None:
    """By one of its numbers: two reads, each on one shard."""
    token_id = work.execute(select(column.table.c.token_id).where(column == value)).scalar()
    if token_id is None:
        return None
    return work.one(select(tables.token).where(tables.token.c.token_id == token_id))


def _find_batch(work: Work, token: Row[Any], key_index: int) -> Row[Any] | None:
    if key_index > token.key_index:  # also keeps what the column cannot hold from the database
        return None
    columns = tables.key_batch.c
    return work.one(
        select(tables.key_batch).where(
            columns.token_id == token.token_id, columns.key_index == key_index
        )
    )


def _recent_batches(work: Work, token_id: str, now: datetime) -> Sequence[Row[Any]]:
    """Newest first: those alive and those that ended within the hour."""
    columns = tables.key_batch.c
    horizon = now - timedelta(seconds=TOLD_APART_STEPS * pay_code.STEP_SECONDS)
    return work.execute(
        select(tables.key_batch)
        .where(columns.token_id == token_id, columns.not_after > horizon)
        .order_by(columns.key_index.desc())
        .limit(BATCHES_TRIED_MAX)
    ).all()


def _match(
    keyed: Sequence[tuple[Row[Any], bytes]], steps: Iterable[int], one_time: str
) -> tuple[Row[Any], int] | None:
    for step in steps:
        for batch, key in keyed:
            if hmac.compare_digest(pay_code.one_time_digits(key, step), one_time):
                return batch, step
    return None
