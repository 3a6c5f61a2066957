"""The phone card's keys and counter in storage, and the pay code. Knows nothing of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from card_protocol import key_batch, pay_code
from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import CRYPTOGRAM_BYTES, IAD_BYTES, PDOL_DATA_BYTES, Suite
from sdk_mobile.clock import SkewedClock
from sdk_mobile.errors import KeysUnreadable, NotReady, StorageDamaged
from sdk_mobile.keys import DeviceKeys
from sdk_mobile.models import PayCodeView, PhoneCard, SealedKeys
from sdk_mobile.shapes import decode, encode
from sdk_mobile.storage import Storage

KEYS, COUNTER = "card_keys", "card_counter"
REFILL_DIVISOR = 3  # design A.2: more keys are asked for below one third
LOG_LINES_MAX = 200
_ATC_AT = PDOL_DATA_BYTES + 2  # design A.2: PDOL data, AIP (2), ATC (2), IAD, cryptogram
SIGNED_BYTES = _ATC_AT + 2 + IAD_BYTES + CRYPTOGRAM_BYTES


@dataclass(frozen=True, slots=True)
class CardKeys:
    """The opened limited-use keys of one card, as delivered."""

    token_id: str
    key_index: int
    key_version: int
    suite: int
    limited_use_key: bytes = field(repr=False)
    pay_code_key: bytes = field(repr=False)
    uses_max: int
    not_before: datetime
    not_after: datetime

    def is_valid_at(self, now: datetime) -> bool:
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True)
class TapLine:
    """One counter given out; no cryptogram when the tap broke off, or the app ended, before it."""

    atc: int
    key_index: int
    cryptogram: bytes | None = None


@dataclass(frozen=True, slots=True)
class CardCounter:
    """`atc` is the last one given out (0: none yet); `uses` counts taps with key `key_index`.

    `log`: taps since the last refill, oldest first; None in what an older app wrote.
    """

    token_id: str
    atc: int = 0
    key_index: int = 0
    uses: int = 0
    log: tuple[TapLine, ...] | None = None

    def uses_of(self, key_index: int) -> int:
        return self.uses if key_index == self.key_index else 0


class CardBox:
    """What the phone holds for its card. Keys and counter are two documents: a tap writes only
    the counter, and no written counter can take keys with it."""

    def __init__(self, storage: Storage, keys: DeviceKeys, clock: SkewedClock) -> None:
        self._storage = storage
        self._keys = keys
        self._clock = clock
        self._cryptograms: dict[int, bytes] = {}  # of this process, not in the log yet
        self._on_counted: Callable[[], None] | None = None

    def put_keys(self, card: PhoneCard, sealed: SealedKeys) -> None:
        """Opens and stores keys delivered for `card`. Raises KeysUnreadable; old keys stand."""
        try:
            info = key_batch.seal_info(card.token_number, sealed.key_index)
            batch = key_batch.KeyBatch.decode(self._keys.hpke_open(sealed.sealed, info))
        except MalformedBytes as error:
            raise KeysUnreadable(str(error)) from None
        opened = CardKeys(
            token_id=card.token_id,
            key_index=sealed.key_index,
            key_version=sealed.key_version,
            suite=sealed.suite,
            limited_use_key=batch.limited_use_key,
            pay_code_key=batch.pay_code_key,
            uses_max=sealed.uses_max,
            not_before=sealed.not_before,
            not_after=sealed.not_after,
        )
        with self._storage.exclusive():
            held = self._find(CardKeys, KEYS)
            if held and held.token_id == card.token_id and held.key_index > sealed.key_index:
                return  # an answer learnt again, older than what we hold
            self._storage.write(KEYS, _encoded(opened))

    def find_keys(self, token_id: str) -> CardKeys | None:
        keys = self._find(CardKeys, KEYS)
        return keys if keys and keys.token_id == token_id else None

    def counter(self, token_id: str) -> CardCounter:
        """Raises StorageDamaged; a counter is never begun again behind its holder's back."""
        counter = self._find(CardCounter, COUNTER)
        is_ours = counter is not None and counter.token_id == token_id
        return counter if is_ours else CardCounter(token_id, log=())

    def find_counter(self) -> CardCounter | None:
        """Whosever it is. Raises StorageDamaged."""
        found: CardCounter | None = self._find(CardCounter, COUNTER)
        return found

    def note_cryptogram(self, atc: int, cryptogram: bytes) -> None:
        """What the card said under this counter. Written with the next tap: a tap writes once."""
        with self._storage.exclusive():  # other threads read and clear them under it
            while len(self._cryptograms) >= LOG_LINES_MAX:
                del self._cryptograms[next(iter(self._cryptograms))]
            self._cryptograms[atc] = cryptogram

    def tell_counted(self, on_counted: Callable[[], None] | None) -> None:
        """Who hears of each tap counted; it is called at once and must not wait."""
        self._on_counted = on_counted

    def log(self, token_id: str) -> tuple[TapLine, ...] | None:
        """Taps since the last refill, for the backend to compare with what arrived."""
        return self._completed(self.counter(token_id).log)

    def forget_log(self, token_id: str, atc: int) -> None:
        """A refill was answered that told the log up to `atc`."""
        with self._storage.exclusive():
            counter = self.counter(token_id)
            if counter.log is None and counter.atc > atc:
                return  # taps before the log began would look like gaps: one refill more
            kept = tuple(one for one in self._completed(counter.log) or () if one.atc > atc)
            self._cryptograms.clear()
            if kept != counter.log:
                self._storage.write(COUNTER, _encoded(replace(counter, log=kept)))

    def _completed(self, log: tuple[TapLine, ...] | None) -> tuple[TapLine, ...] | None:
        """The log with the cryptograms this process remembers."""
        if log is None:
            return None
        said = self._cryptograms
        return tuple(replace(one, cryptogram=said.get(one.atc, one.cryptogram)) for one in log)

    def advance(self, token_id: str, atc: int, key_index: int) -> CardCounter:
        """Durably counts one tap. Raises ValueError unless `atc` follows the stored one."""
        with self._storage.exclusive():
            before = self.counter(token_id)
            if atc != before.atc + 1:
                raise ValueError(f"ATC {atc} after {before.atc}")
            uses = before.uses_of(key_index) + 1
            log = self._completed(before.log)
            if log is not None:
                log = (*log, TapLine(atc, key_index))[-LOG_LINES_MAX:]
            after = replace(before, atc=atc, key_index=key_index, uses=uses, log=log)
            self._storage.write(COUNTER, _encoded(after))
        if self._on_counted is not None:
            self._on_counted()
        return after

    def uses_left(self, token_id: str) -> int:
        """Taps that can be made before the next refill; 0 without valid keys."""
        keys = self.find_keys(token_id)
        if keys is None or not keys.is_valid_at(self._clock.now()):
            return 0
        return max(0, keys.uses_max - self.counter(token_id).uses_of(keys.key_index))

    def needs_refill(self, token_id: str) -> bool:
        """True below one third of the taps or of the time, and without keys."""
        keys = self.find_keys(token_id)
        if keys is None:
            return True
        uses_left = keys.uses_max - self.counter(token_id).uses_of(keys.key_index)
        time_left = keys.not_after - self._clock.now()
        is_few = uses_left * REFILL_DIVISOR < keys.uses_max
        return is_few or time_left * REFILL_DIVISOR < keys.not_after - keys.not_before

    def pay_code(self, card: PhoneCard) -> PayCodeView:
        """19 digits for this half minute, made without the network (design A.3).

        Raises NotReady: `no_keys`, `keys_expired`; ClockWrong.
        """
        keys = self.find_keys(card.token_id)
        if keys is None:
            raise NotReady("no_keys", "the card has no keys on this phone")
        self._clock.require_forward()
        if not keys.is_valid_at(self._clock.now()):
            raise NotReady("keys_expired", "the card's keys are not valid now: go online once")
        step = pay_code.step_at(int(self._clock.now_seconds()))
        digits = pay_code.encode(
            card.short_number, pay_code.one_time_digits(keys.pay_code_key, step)
        )
        ends_at = (step + 1) * pay_code.STEP_SECONDS - self._clock.skew_seconds
        return PayCodeView(digits, datetime.fromtimestamp(0, UTC) + timedelta(seconds=ends_at))

    def _find(self, cls: type[Any], name: str) -> Any:
        raw = self._storage.read(name)
        if raw is None:
            return None
        try:
            return decode(cls, json.loads(raw))
        except ValueError as error:
            raise StorageDamaged(self._storage.describe(name), str(error)) from None


class NotingKeys:
    """The phone's keys as a card's signer, which notes the cryptogram that each tap signs.

    What is signed for a tap is laid out in design A.2; all else is the keystore's own affair.
    """

    def __init__(self, keys: DeviceKeys, box: CardBox) -> None:
        self._keys = keys
        self._box = box

    def sign(self, data: bytes, suite: Suite = Suite.AES_ES256) -> bytes:
        signature = self._keys.sign(data, suite)
        if len(data) == SIGNED_BYTES:
            atc = int.from_bytes(data[_ATC_AT : _ATC_AT + 2])
            self._box.note_cryptogram(atc, data[-CRYPTOGRAM_BYTES:])
        return signature

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)


def _encoded(value: object) -> bytes:
    document: Mapping[str, object] = encode(value)
    return json.dumps(document, separators=(",", ":")).encode()
