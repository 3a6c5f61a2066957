"""Rows of persons, read and written inside somebody's unit of work. Knows no requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select

from backend.db import Work
from backend.identity.errors import PersonUnknown
from backend.identity.model import Person, mask_id_number, mask_name, mask_phone
from backend.identity.states import PersonState
from backend.identity.tables import person, person_phone
from backend.identity.vault import Vault
from backend.kernel import new_id


@dataclass(frozen=True, slots=True)
class Persons:
    """Persons by id and by phone."""

    vault: Vault

    def get(self, work: Work, person_id: str, *, locked: bool = False) -> Row[Any]:
        """The row; `locked`: other writers about this person wait. Raises PersonUnknown."""
        query = select(person).where(person.c.person_id == person_id)
        row = work.one(query.with_for_update() if locked else query)
        if row is None:
            raise PersonUnknown
        return row

    def find_by_phone(self, work: Work, phone: str) -> str | None:
        """The id of the person with this phone."""
        index = self.vault.index("phone", phone)
        row = work.one(select(person_phone.c.person_id).where(person_phone.c.phone_index == index))
        return None if row is None else str(row.person_id)

    def make(self, work: Work, phone: str) -> str:
        """A person known by phone only; the caller holds the phone's row in login_phone."""
        person_id = new_id("per")
        row = {
            "person_id": person_id,
            "state": PersonState.UNREGISTERED.value,
            "phone_sealed": self.vault.seal(person.c.phone_sealed, person_id, phone),
            "misses": 0,
            "created_at": work.now,
        }
        work.execute(insert(person), row)
        index = self.vault.index("phone", phone)
        work.execute(insert(person_phone), {"phone_index": index, "person_id": person_id})
        return person_id

    def shown(self, row: Row[Any]) -> Person:
        """A row as others may see it."""
        state = PersonState(row.state)
        unseal, person_id = self.vault.unseal, row.person_id
        phone = mask_phone(unseal(person.c.phone_sealed, person_id, row.phone_sealed))
        if state is PersonState.UNREGISTERED:
            return Person(person_id, state, phone)
        name = unseal(person.c.name_sealed, person_id, row.name_sealed)
        number = unseal(person.c.id_number_sealed, person_id, row.id_number_sealed)
        return Person(
            person_id=person_id,
            state=state,
            phone_masked=phone,
            name_masked=mask_name(name),
            id_number_masked=mask_id_number(number),
            matched_at=row.matched_at,
        )
