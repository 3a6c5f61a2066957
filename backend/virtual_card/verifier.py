"""Checks taps and pay codes: genuine, in time, of a card that may pay. Only `watch` writes."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select

from backend.db import Units, Which, Work
from backend.kernel import DomainError
from backend.keys import Keys, VersionUnknown
from backend.virtual_card import tables
from backend.virtual_card.cards import require_usable
from backend.virtual_card.errors import (
    CryptogramInvalid,
    KeyExpired,
    KeyUnknown,
    PayCodeAltered,
    PayCodeClockWrong,
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
from backend.virtual_card.watch.service import TapWatch
from card_protocol import mobile_card, pay_code
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.mobile_card import GpoResponse, Suite, TransactionData

BATCHES_TRIED_MAX = 8
PAY_CODE_REFUSALS: Mapping[str, type[DomainError]] = {
    pay_code.CODE: PayCodeMalformed,
    pay_code.FOREIGN_CODE: PayCodeForeign,
    pay_code.EXPIRED_CODE: PayCodeExpired,
    pay_code.NOT_YET_VALID_CODE: PayCodeNotYetValid,
    pay_code.CLOCK_WRONG_CODE: PayCodeClockWrong,
    pay_code.ALTERED_CODE: PayCodeAltered,
}


@dataclass(frozen=True, slots=True)
class TapVerifier:
    """Genuineness is asked before state: only the card itself learns that it is suspended."""

    units: Units
    keys: Keys = field(repr=False)
    watch: TapWatch | None = None  # without one, copied keys show only in payments' counters

    def verify_tap(
        self, pdol_data: bytes, gpo_response: bytes, now: datetime, *, is_dry_run: bool = False
    ) -> VerifiedProof:
        """The proof in a tap (design A.2); a dry run leaves no trace of it.

        Raises TapMalformed, SuiteRefused, TokenUnknown, KeyUnknown, CryptogramInvalid,
        SignatureInvalid, TokenPending, TokenSuspended, TokenDeleted, KeyExpired, TokenCloned.
        """
        transaction, tap = decode_tap(pdol_data, gpo_response)
        with self.units.read(Which.BUSINESS) as work:
            token = _find_token(work, tables.number.c.token_number, tap.token_number)
            batch = None if token is None else _find_batch(work, token, tap.iad.key_index)
        if token is None:
            raise TokenUnknown
        if tap.iad.suite is not Suite(token.suite):
            raise SuiteRefused
        if batch is None or batch.key_version != tap.iad.key_version:
            raise KeyUnknown
        self._check_genuine(pdol_data, tap, token)
        require_usable(token.state)
        if batch.not_after <= now:
            raise KeyExpired
        proof = VerifiedProof(
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
        if self.watch is not None and not is_dry_run:
            self.watch.note(proof, tap.cryptogram, now)
        return proof

    def verify_pay_code(self, content: str, now: datetime) -> VerifiedProof:
        """The proof in a pay code (design A.3): 19 digits, or the same consumer-presented.

        Raises PayCodeMalformed, PayCodeForeign, PayCodeUnknown, PayCodeExpired,
        PayCodeNotYetValid, PayCodeClockWrong, PayCodeAltered, TokenSuspended, TokenDeleted.
        """
        try:
            short_number, one_time = pay_code.read(content)
        except MalformedBytes as error:
            raise PAY_CODE_REFUSALS.get(error.code, PayCodeMalformed) from None
        with self.units.read(Which.BUSINESS) as work:
            token = _find_token(work, tables.short_number.c.short_number, short_number)
            batches = [] if token is None else _recent_batches(work, token.token_id, now)
        if token is None:
            raise PayCodeUnknown
        batch, step = self._find_step(token, batches, one_time, now)
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
        """Raises KeyUnknown, CryptogramInvalid, SignatureInvalid."""
        iad = tap.iad.encode()
        data = mobile_card.cryptogram_input(pdol_data, tap.aip, tap.atc, iad)
        try:
            expected = TokenKeys(self.keys, tap.iad.suite).cryptogram(
                token.token_number, tap.iad.key_index, tap.iad.key_version, data
            )
        except VersionUnknown:  # its master was retired: the phone must fetch new keys
            raise KeyUnknown from None
        if not hmac.compare_digest(expected, tap.cryptogram):
            raise CryptogramInvalid
        signed = mobile_card.signature_input(pdol_data, tap.aip, tap.atc, iad, tap.cryptogram)
        if not mobile_card.verify_signature(
            token.device_public_key, signed, tap.signature, tap.iad.suite
        ):
            raise SignatureInvalid

    def _find_step(
        self, token: Row[Any], batches: Sequence[Row[Any]], one_time: str, now: datetime
    ) -> tuple[Row[Any], int]:
        """The batch and time step that give these digits now; else why they are refused."""
        keyed = list(self._keyed(token, batches))
        live = [pair for pair in keyed if pair[0].not_after > now]
        ended = [key for one, key in keyed if one.not_after <= now]
        keys = [key for _, key in live]
        try:
            number, step = pay_code.match(one_time, keys, int(now.timestamp()), ended)
        except CodeRefused as refused:
            raise PAY_CODE_REFUSALS[refused.code] from None
        return live[number][0], step

    def _keyed(
        self, token: Row[Any], batches: Sequence[Row[Any]]
    ) -> Iterator[tuple[Row[Any], pay_code.PayCodeKey]]:
        """Each batch with its pay code key; those whose master was retired are left out."""
        derive = TokenKeys(self.keys, Suite(token.suite)).pay_code_key
        for one in batches:
            with suppress(VersionUnknown):
                key = derive(token.token_number, one.key_index, one.key_version)
                yield one, pay_code.PayCodeKey.of(key)


def decode_tap(pdol_data: bytes, gpo_response: bytes) -> tuple[TransactionData, GpoResponse]:
    """What terminal and card said to each other. Raises TapMalformed."""
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
    horizon = now - timedelta(seconds=pay_code.TOLD_APART_STEPS * pay_code.STEP_SECONDS)
    return work.execute(
        select(tables.key_batch)
        .where(columns.token_id == token_id, columns.not_after > horizon)
        .order_by(columns.key_index.desc())
        .limit(BATCHES_TRIED_MAX)
    ).all()
