"""Who may read identity codes: registered by staff, for purposes and claims that are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from backend.db import Operation, Units, Which, Work
from backend.virtual_card.codes import tables
from backend.virtual_card.codes.errors import IdentityVerifierUnknown
from backend.virtual_card.codes.model import (
    IdentityVerifier,
    claims_mask,
    claims_of,
    purposes_mask,
    purposes_of,
)


@dataclass(frozen=True, slots=True)
class RegisterVerifier:
    """Sets what a merchant may read; a later registration takes the place of an earlier one."""

    merchant_id: str
    purposes: tuple[str, ...]  # names of Purpose, small
    claims: tuple[str, ...]  # names of Claim, small
    staff_id: str


@dataclass(frozen=True, slots=True)
class IdentityVerifiers:
    """`require_merchant` raises when there is no such merchant (MerchantUnknown)."""

    units: Units
    require_merchant: Callable[[str], object]

    def register(self, command: RegisterVerifier, operation: Operation) -> IdentityVerifier:
        """Raises MerchantUnknown."""
        self.require_merchant(command.merchant_id)
        return self.units.once(Which.BUSINESS, operation, lambda work: _register(work, command))

    def get(self, merchant_id: str) -> Row[Any]:
        """The row of a registered verifier. Raises IdentityVerifierUnknown."""
        rows = tables.verifier
        with self.units.read(Which.BUSINESS) as work:
            row = work.one(select(rows).where(rows.c.merchant_id == merchant_id))
        if row is None:
            raise IdentityVerifierUnknown
        return row


def _register(work: Work, command: RegisterVerifier) -> IdentityVerifier:
    purposes, claims = purposes_mask(command.purposes), claims_mask(command.claims)
    values = {
        "purposes": purposes,
        "claims": claims,
        "registered_by": command.staff_id,
        "registered_at": work.now,
    }
    insert = work.upsert_into(tables.verifier).values(merchant_id=command.merchant_id, **values)
    work.execute(insert.on_conflict_do_update(index_elements=["merchant_id"], set_=values))
    return IdentityVerifier(
        command.merchant_id,
        purposes_of(purposes),
        claims_of(claims),
        work.now,
    )
