"""Checks many late proofs at once: a fixed number of questions, whatever their number."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Protocol

from sqlalchemy import select

from backend.db import Units, Which, Work
from backend.kernel import DomainError
from backend.keys import Keys, VersionUnknown
from backend.virtual_card import tables
from backend.virtual_card.codes.model import RideKeys
from backend.virtual_card.errors import (
    CryptogramInvalid,
    KeyExpired,
    KeyUnknown,
    SignatureInvalid,
    SuiteRefused,
    TokenCloned,
    TokenUnknown,
)
from backend.virtual_card.key_service import TokenKeys
from backend.virtual_card.past.model import (
    PastProof,
    PastRideCode,
    PastTap,
    RideCodeRefused,
    StateChange,
    find_stop,
)
from backend.virtual_card.states import Reason, TokenState
from backend.virtual_card.verifier import decode_tap
from backend.virtual_card.watch.model import TapMark, find_tap_time
from backend.virtual_card.watch.service import TapWatch
from card_protocol import mobile_card
from card_protocol.certificate import Certificate
from card_protocol.code_keys import KeyLoader, load_es256
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.mobile_card import GpoResponse, Suite, TransactionData
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import RideAccepted, RideCodeVerifier, RideRules

Asked = PastTap | PastRideCode
RIDE_SUITES: Mapping[RideSuite, KeyLoader] = {RideSuite.ES256: load_es256}


class RideAuthority(Protocol):
    """Who tells gates which ride codes to take."""

    def gate_keys(self) -> RideKeys: ...


@dataclass(frozen=True, slots=True)
class _Read:
    """A tap or code whose own bytes were understood."""

    token_number: str
    tap: tuple[TransactionData, GpoResponse] | None = None
    ride: RideAccepted | None = None

    @property
    def key_index(self) -> int:
        return 0 if self.tap is None else self.tap[1].iad.key_index


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says about all tokens of an upload."""

    tokens: Mapping[str, SimpleNamespace]  # by number
    batches: Mapping[tuple[str, int], SimpleNamespace]
    changes: Mapping[str, list[StateChange]]
    now: datetime


class _AnyUse:
    """Uses are claimed in the ledger: once for all gates, whenever their word comes."""

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class PastProofs:
    """Genuineness first, then how card and key stood at the moment of the proof itself."""

    units: Units
    keys: Keys = field(repr=False)
    rides: RideAuthority
    watch: TapWatch | None = None

    def verify_all(
        self, asked: Sequence[Asked], now: datetime, *, is_dry_run: bool = False
    ) -> list[PastProof | DomainError]:
        """For each its proof, or what speaks against it; a dry run leaves no trace.

        Refusals: TapMalformed, SuiteRefused, TokenUnknown, KeyUnknown, CryptogramInvalid,
        SignatureInvalid, TokenPending, KeyExpired, TokenCloned, RideCodeRefused.
        """
        rules = _rules_of(self.rides.gate_keys())
        read = [_attempt(_read, one, rules) for one in asked]
        known = self._ask([one for one in read if isinstance(one, _Read)], now)
        judged: list[PastProof | DomainError] = [
            one if isinstance(one, DomainError) else _attempt(self._judge, asked[at], one, known)
            for at, one in enumerate(read)
        ]
        return judged if is_dry_run else self._note(judged, now)

    def _ask(self, read: Iterable[_Read], now: datetime) -> _Known:
        """Four questions: numbers, tokens, key batches, histories."""
        numbers = sorted({one.token_number for one in read})
        indexes = sorted({one.key_index for one in read if one.tap is not None})
        if not numbers:
            return _Known({}, {}, {}, now)
        with self.units.read(Which.BUSINESS) as work:
            named = tables.number.c
            ids = _all(work, select(tables.number).where(named.token_number.in_(numbers)))
            token_ids = [one.token_id for one in ids]
            mine = tables.token.c.token_id.in_(token_ids)
            tokens = _all(work, select(tables.token).where(mine))
            columns = tables.key_batch.c
            at_index = columns.token_id.in_(token_ids) & columns.key_index.in_(indexes)
            batches = _all(work, select(tables.key_batch).where(at_index)) if indexes else []
            lines = tables.token_history.c
            history = _all(
                work,
                select(lines.token_id, lines.after, lines.at, lines.reason)
                .where(lines.token_id.in_(token_ids))
                .order_by(lines.token_id, lines.number),
            )
        changes: dict[str, list[StateChange]] = defaultdict(list)
        for line in history:
            change = StateChange(TokenState(line.after), line.at, Reason(line.reason))
            changes[line.token_id].append(change)
        return _Known(
            {one.token_number: one for one in tokens},
            {(one.token_id, one.key_index): one for one in batches},
            changes,
            now,
        )

    def _judge(self, asked: Asked, read: _Read, known: _Known) -> PastProof:
        token = known.tokens.get(read.token_number)
        if token is None:
            raise TokenUnknown
        if read.ride is not None:
            assert isinstance(asked, PastRideCode)
            return _ride_proof(read.ride, token, known, min(asked.shown_at, known.now))
        assert isinstance(asked, PastTap)
        return self._judge_tap(asked, read, token, known)

    def _judge_tap(
        self, asked: PastTap, read: _Read, token: SimpleNamespace, known: _Known
    ) -> PastProof:
        assert read.tap is not None
        transaction, tap = read.tap
        batch = known.batches.get((token.token_id, tap.iad.key_index))
        if tap.iad.suite is not Suite(token.suite):
            raise SuiteRefused
        if batch is None or batch.key_version != tap.iad.key_version:
            raise KeyUnknown
        self._check_genuine(asked.pdol_data, tap, token)
        # A terminal's clock may run ahead: nothing was tapped later than it arrived.
        made_at = min(find_tap_time(transaction) or known.now, known.now)
        stop = find_stop(known.changes.get(token.token_id, ()), made_at)
        if batch.not_after <= made_at:
            raise KeyExpired
        return PastProof(
            token_id=token.token_id,
            token_number=token.token_number,
            wallet_id=token.wallet_id,
            person_id=token.person_id,
            kind="tap",
            counter=tap.atc,
            key_index=batch.key_index,
            key_uses_max=batch.uses_max,
            made_at=made_at,
            sale_max_fen=Certificate.decode(token.certificate).offline_sale_max_fen,
            stop=stop,
            transaction=transaction,
            cryptogram=tap.cryptogram,
        )

    def _check_genuine(self, pdol_data: bytes, tap: GpoResponse, token: SimpleNamespace) -> None:
        """Signature first: it is what the terminal went by. Raises as `TapVerifier`."""
        iad = tap.iad.encode()
        signed = mobile_card.signature_input(pdol_data, tap.aip, tap.atc, iad, tap.cryptogram)
        data = mobile_card.cryptogram_input(pdol_data, tap.aip, tap.atc, iad)
        try:
            expected = TokenKeys(self.keys, tap.iad.suite).cryptogram(
                token.token_number, tap.iad.key_index, tap.iad.key_version, data
            )
        except VersionUnknown:
            raise KeyUnknown from None
        if not hmac.compare_digest(expected, tap.cryptogram):
            raise CryptogramInvalid
        if not mobile_card.verify_signature(
            token.device_public_key, signed, tap.signature, tap.iad.suite
        ):
            raise SignatureInvalid

    def _note(
        self, judged: list[PastProof | DomainError], now: datetime
    ) -> list[PastProof | DomainError]:
        """All genuine taps are noted together; one that contradicts an earlier one is refused."""
        taps = [one for one in judged if isinstance(one, PastProof) and one.kind == "tap"]
        if self.watch is None or not taps:
            return judged
        signs = self.watch.note_all([(one.token_id, _mark(one, now)) for one in taps])
        cloned = {id(one): one for one, sign in zip(taps, signs, strict=True) if sign is not None}
        for one in {proof.token_id: proof for proof in cloned.values()}.values():
            self.watch.suspend(one.person_id, one.token_id)
        return [TokenCloned() if id(one) in cloned else one for one in judged]


def _rules_of(told: RideKeys) -> RideRules:
    return RideRules(
        ca_keys={(one.index, told.suite): one.public_key for one in told.ca_keys},
        suites=RIDE_SUITES,
        issuers=frozenset({told.issuer_id}),
        account_types=frozenset(told.account_types),
        validity_seconds_max=told.validity_seconds_max,
    )


def _read(asked: Asked, rules: RideRules) -> _Read:
    """Raises TapMalformed, RideCodeRefused."""
    if isinstance(asked, PastTap):
        transaction, tap = decode_tap(asked.pdol_data, asked.gpo_response)
        return _Read(tap.token_number, tap=(transaction, tap))
    verifier = RideCodeVerifier(rules, _AnyUse(), frozenset())
    try:
        accepted = verifier.verify(asked.content, int(asked.shown_at.timestamp()))
    except (MalformedBytes, CodeRefused) as refused:
        raise RideCodeRefused(reason=refused.code) from None
    return _Read(accepted.part.card_number, ride=accepted)


def _ride_proof(
    ride: RideAccepted, token: SimpleNamespace, known: _Known, made_at: datetime
) -> PastProof:
    if ride.part.user_public_key != token.device_public_key:
        raise RideCodeRefused(reason="ride_code_foreign")
    return PastProof(
        token_id=token.token_id,
        token_number=token.token_number,
        wallet_id=token.wallet_id,
        person_id=token.person_id,
        kind="ride_code",
        counter=ride.generated_at,
        key_index=0,
        key_uses_max=None,
        made_at=made_at,
        sale_max_fen=ride.part.ride_max_fen,
        stop=find_stop(known.changes.get(token.token_id, ()), made_at),
    )


def _mark(proof: PastProof, now: datetime) -> TapMark:
    """Without the terminal's time: an upload, however quick, is never a live tap, whose order
    against other live taps would be a sign."""
    assert proof.cryptogram is not None
    return TapMark(proof.counter, proof.key_index, proof.cryptogram, None, now)


def _all(work: Work, query: Any) -> list[SimpleNamespace]:
    return [SimpleNamespace(**row) for row in work.execute(query).mappings()]


def _attempt(ask: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return ask(*arguments)
    except DomainError as refusal:
        return refusal
