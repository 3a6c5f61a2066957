"""The way out of damaged storage: what can stay stays, the rest is begun anew.

Knows no network. No money is in the files: it is at the backend, under the ids sent there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from card_protocol.signatures import Suite, private_key_from_der, suite_of
from sdk_mobile.cards import COUNTER, KEYS, CardCounter, CardKeys
from sdk_mobile.code_parts import StoredPart
from sdk_mobile.errors import StorageDamaged
from sdk_mobile.keys import SEALING, SIGNING, SM2_SIGNING
from sdk_mobile.models import History
from sdk_mobile.operations import MONEY
from sdk_mobile.shapes import decode
from sdk_mobile.state import HISTORY, STATE, Operation, State, StateDocument
from sdk_mobile.storage import Storage

PARTS = ("ride_part", "identity_part")
# The backend gives these again to the same phone.
RENEWABLE = (HISTORY, *PARTS, KEYS)
# A phone with one of these gone is another phone: a counter never begins again under old keys.
PHONE = (STATE, COUNTER, SIGNING, SEALING, SM2_SIGNING)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done. `put_aside`: documents that were damaged. `must_enrol`: log in, enrol and
    get a card as on a new phone; else only what can be fetched again was lost.

    `kept`: money operations that `resume()` finishes after log-in; `dropped`: ids of others
    (a loss report too) whose outcome this phone will not learn by itself.
    """

    put_aside: tuple[str, ...] = ()
    must_enrol: bool = False
    kept: tuple[Operation, ...] = ()
    dropped: tuple[str, ...] = ()


def recover(storage: Storage) -> Recovered:
    """Puts damaged documents aside. With one of PHONE among them, this phone's keys, session and
    card are erased too; money operations, person and wallet stay where the state is readable.

    Does nothing when nothing is damaged. Raises StorageFailed; then it can be called again.
    """
    with storage.exclusive():
        damaged = tuple(name for name in (*PHONE, *RENEWABLE) if _is_damaged(storage, name))
        if not set(damaged) & set(PHONE):
            for name in damaged:
                storage.put_aside(name)
            return Recovered(put_aside=damaged)
        before = None if STATE in damaged else StateDocument(storage).read()
        after = State() if before is None else _without_phone(before)
        if before is None:
            storage.put_aside(STATE)
        # First of all the state forgets the card: a crash from here on leaves keys that nothing
        # names, and never a card whose counter is gone.
        StateDocument(storage).change(lambda state: after)
        for name in damaged:
            if name != STATE:
                storage.put_aside(name)
        for name in (*PHONE, *RENEWABLE):
            if name not in (STATE, HISTORY) and name not in damaged:
                storage.erase(name)
        dropped = () if before is None else before.operations
        kept_ids = {one.operation_id for one in after.operations}
        return Recovered(
            put_aside=damaged,
            must_enrol=True,
            kept=after.operations,
            dropped=tuple(one.operation_id for one in dropped if one.operation_id not in kept_ids),
        )


def _without_phone(state: State) -> State:
    """What is the person's and not this phone's."""
    return State(
        phone=state.phone,
        person=state.person,
        account=state.account,
        account_as_of=state.account_as_of,
        cards=state.cards,
        operations=tuple(one for one in state.operations if one.kind in MONEY),
        top_ups=state.top_ups,
        clock_skew_seconds=state.clock_skew_seconds,
        clock_read_seconds=state.clock_read_seconds,
    )


def _is_damaged(storage: Storage, name: str) -> bool:
    try:
        raw = storage.read(name)
        if raw is not None:
            _CHECKS[name](raw)
    except (StorageDamaged, ValueError):  # MalformedBytes is a ValueError
        return True
    return False


def _shape(cls: type[Any]) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        decode(cls, json.loads(raw))

    return check


def _key(suite: Suite) -> Callable[[bytes], None]:
    def check(raw: bytes) -> None:
        if suite_of(private_key_from_der(raw)) is not suite:
            raise ValueError("a key of another suite")

    return check


_CHECKS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {
        STATE: _shape(State),
        COUNTER: _shape(CardCounter),
        SIGNING: _key(Suite.AES_ES256),
        SEALING: _key(Suite.AES_ES256),
        SM2_SIGNING: _key(Suite.SM4_SM2),
        HISTORY: _shape(History),
        KEYS: _shape(CardKeys),
        **dict.fromkeys(PARTS, _shape(StoredPart)),
    }
)
