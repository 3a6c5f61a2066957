"""The keys of one reading of the store, ready to work: never changes, is replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.keys.handles import Handle
from backend.keys.model import Contents, KeyState
from backend.keys.port import KeyRef
from backend.keys.vault import Vault

USABLE = frozenset({KeyState.ANNOUNCED, KeyState.ACTIVE, KeyState.VERIFYING})


@dataclass(frozen=True, slots=True)
class Ring:
    """`usable` holds announced versions too: another process may use them a moment before us."""

    stamp: tuple[int, int, int]
    active: Mapping[KeyRef, int]
    current: Mapping[KeyRef, Handle] = field(repr=False)  # of the active version
    usable: Mapping[KeyRef, Mapping[int, Handle]] = field(repr=False)  # the active one first
    check_values: Mapping[str, str]


def open_ring(
    vault: Vault, contents: Contents, stamp: tuple[int, int, int], before: Ring | None = None
) -> Ring:
    """Handles for every version that is not retired; those of `before` are kept.

    Raises KeystoreDamaged, KeyUnknown, KeyUnavailable.
    """
    usable: dict[KeyRef, dict[int, Handle]] = {ref: {} for ref in KeyRef}
    active: dict[KeyRef, int] = {}
    check_values = {}
    by_age = sorted(contents.versions, key=lambda one: -one.number)
    for one in sorted(by_age, key=lambda one: one.state is not KeyState.ACTIVE):
        if one.state not in USABLE:
            continue
        token = f"{one.check_value}@{one.place}"
        kept = before is not None and before.check_values.get(one.name) == token
        handle = before.usable[one.ref][one.number] if before and kept else vault.open(one)
        usable[one.ref][one.number] = handle
        check_values[one.name] = token
        if one.state is KeyState.ACTIVE:
            active[one.ref] = one.number
    current = {ref: usable[ref][number] for ref, number in active.items()}
    return Ring(stamp, active, current, usable, check_values)
