"""The issuer's part of ride and identity codes, kept for a day; knows not what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from card_protocol.errors import MalformedBytes
from sdk_mobile.clock import SkewedClock
from sdk_mobile.errors import AnswerMalformed, NotReady, StorageDamaged
from sdk_mobile.models import PhoneCard
from sdk_mobile.session import Sessions, read
from sdk_mobile.shapes import decode, encode
from sdk_mobile.storage import Storage

FRESH_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class _Answer:
    content: bytes = field(repr=False)
    authorised_until: datetime


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part as fetched: for one token, good until a moment of the backend's time."""

    token_id: str
    content: bytes = field(repr=False)
    authorised_until: datetime
    fetched_at: datetime


class CodeParts:
    """One kind of part. `key_in` gives the public key a part vouches for; it must be ours."""

    def __init__(
        self,
        name: str,
        *,
        key_in: Callable[[bytes], bytes],
        own_key: Callable[[], bytes],
        storage: Storage,
        sessions: Sessions,
        clock: SkewedClock,
    ) -> None:
        self._name = name
        self._key_in = key_in
        self._own_key = own_key
        self._storage = storage
        self._sessions = sessions
        self._clock = clock

    def refresh_if_needed(self, card: PhoneCard) -> bool:
        """Fetches once a day; True when it did. Raises Offline, Refused, SignedOut."""
        held = self._find(card)
        now = self._clock.now()
        if held is not None and now < held.fetched_at + FRESH_FOR and now < held.authorised_until:
            return False
        path = f"/v1/me/cards/{card.token_id}/{self._name}-part"
        answer: _Answer = read(_Answer, self._sessions.get(path))
        self._require_ours(answer.content)
        part = StoredPart(card.token_id, answer.content, answer.authorised_until, self._clock.now())
        document = json.dumps(encode(part), separators=(",", ":")).encode()
        self._storage.write(self._document, document)
        return True

    def get(self, card: PhoneCard) -> bytes:
        """The part, without the network. Raises NotReady: `no_part`, `part_expired`;
        ClockWrong."""
        held = self._find(card)
        if held is None:
            raise NotReady("no_part", "this code was never prepared: go online once")
        self._clock.require_forward()
        if self._clock.now() >= held.authorised_until:
            raise NotReady("part_expired", "the issuer's part is out of date: go online once")
        return held.content

    def find_until(self, card: PhoneCard) -> datetime | None:
        """When the stored part ends; None when there is none, or it has ended."""
        held = self._find(card)
        if held is None or self._clock.now() >= held.authorised_until:
            return None
        return held.authorised_until

    @property
    def _document(self) -> str:
        return f"{self._name}_part"

    def _find(self, card: PhoneCard) -> StoredPart | None:
        raw = self._storage.read(self._document)
        if raw is None:
            return None
        try:
            held = decode(StoredPart, json.loads(raw))
        except ValueError as error:
            raise StorageDamaged(self._storage.describe(self._document), str(error)) from None
        return held if held.token_id == card.token_id else None

    def _require_ours(self, content: bytes) -> None:
        """A part for another key would make codes that every gate refuses. AnswerMalformed."""
        try:
            vouched = self._key_in(content)
        except MalformedBytes as error:
            raise AnswerMalformed(str(error)) from None
        if vouched != self._own_key():
            raise AnswerMalformed("the part vouches for another phone's key")
