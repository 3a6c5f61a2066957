"""Registration against the city's base records (基础信息), and who a person is."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Row, select, update

from backend.db import Units, Which, Work
from backend.identity.errors import (
    AlreadyRegistered,
    BaseRecordDiffers,
    BaseRecordUnknown,
    PersonUnknown,
    RegistrationTooOften,
)
from backend.identity.model import BaseRecord, IdNumber, Person, check_age, normal_name, seconds_up
from backend.identity.persons import Persons
from backend.identity.states import PERSON_FLOW, PersonEvent, PersonState, advance
from backend.identity.tables import base_person, person, person_id_number
from backend.identity.vault import Vault
from backend.kernel import DomainError, business_date
from backend.keys import Keys

LOAD_BATCH = 500
MISSES_MAX = 10
MISSES_WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Register:
    """A person's own name and identity number, as typed."""

    person_id: str
    name: str
    id_number: str


@dataclass(frozen=True, slots=True)
class _Match:
    """A registration that nothing refuses: what to write."""

    name: str
    number: IdNumber
    index: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """Base records in, persons matched with them."""

    units: Units
    keys: Keys

    def load_base_records(self, records: Iterable[BaseRecord]) -> int:
        """Add or replace base records by identity number; how many rows were new or differed.

        Loading the same again changes nothing. All or none.
        """
        source = iter(records)
        with self.units.write(Which.IDENTITY) as work:
            return sum(self._load(work, batch) for batch in _batches(source))

    def get_person(self, person_id: str) -> Person:
        """A person, masked. Raises PersonUnknown."""
        with self.units.read(Which.IDENTITY) as work:
            return self._persons.shown(self._persons.get(work, person_id))

    def get_name(self, person_id: str) -> str:
        """The real name, for an order to the bank in the person's name; never shown or kept.

        Raises PersonUnknown, for one who is not registered too.
        """
        with self.units.read(Which.IDENTITY) as work:
            row = self._persons.get(work, person_id)
        if row.name_sealed is None:
            raise PersonUnknown
        return self._vault.unseal(person.c.name_sealed, person_id, row.name_sealed)

    def find_phone(self, person_id: str) -> str | None:
        """The phone number messages go to; never shown or kept."""
        with self.units.read(Which.IDENTITY) as work:
            row = work.one(select(person).where(person.c.person_id == person_id))
        if row is None:
            return None
        return self._vault.unseal(person.c.phone_sealed, person_id, row.phone_sealed)

    def find_phone_since(self, person_id: str) -> datetime | None:
        """Since when the person has this phone number here."""
        since = select(person.c.created_at).where(person.c.person_id == person_id)
        with self.units.read(Which.IDENTITY) as work:
            found: datetime | None = work.execute(since).scalar()
        return found

    def register(self, command: Register) -> Person:
        """Match the person with a base record; the same content again hears the same answer.

        Raises NameInvalid, IdNumberInvalid, GuardianNeeded, BaseRecordUnknown,
        BaseRecordDiffers, AlreadyRegistered, RegistrationTooOften, PersonUnknown.
        """
        with self.units.write(Which.IDENTITY) as work:
            row = self._persons.get(work, command.person_id, locked=True)
            outcome = self._decide(work, row, command)
            if isinstance(outcome, BaseRecordUnknown | BaseRecordDiffers):
                self._count_miss(work, row)  # stays although refused
            elif isinstance(outcome, _Match):
                self._write_match(work, row, outcome)
        if isinstance(outcome, DomainError):
            raise outcome
        return self.get_person(command.person_id)

    @property
    def _persons(self) -> Persons:
        return Persons(Vault(self.keys))

    @property
    def _vault(self) -> Vault:
        return Vault(self.keys)

    def _decide(self, work: Work, row: Row[Any], command: Register) -> _Match | DomainError | None:
        """What to write, why not, or None: this very registration stands already."""
        name = normal_name(command.name)
        today = business_date(work.now)
        number = IdNumber.parse(command.id_number, today)
        index = self._vault.index("id_number", number.text)
        if PersonState(row.state) is PersonState.REGISTERED:
            return None if self._is_same(row, name, index) else AlreadyRegistered()
        check_age(number, today)
        _check_misses(row, work)
        record = work.one(select(base_person).where(base_person.c.id_number_index == index))
        if record is None:
            return BaseRecordUnknown()
        known = self._vault.unseal(base_person.c.name_sealed, index.hex(), record.name_sealed)
        if not _equal(known, name):
            return BaseRecordDiffers()
        owner = work.one(
            select(person_id_number.c.person_id).where(person_id_number.c.id_number_index == index)
        )
        if owner is not None:
            return AlreadyRegistered()
        return _Match(known, number, index)

    def _is_same(self, row: Row[Any], name: str, index: bytes) -> bool:
        known = self._vault.unseal(person.c.name_sealed, row.person_id, row.name_sealed)
        same_number = hmac.compare_digest(row.id_number_index, index)
        return _equal(known, name) and same_number

    def _write_match(self, work: Work, row: Row[Any], match: _Match) -> None:
        claim = {"id_number_index": match.index, "person_id": row.person_id}
        if not work.insert_new(person_id_number, claim):
            raise AlreadyRegistered  # somebody else committed it since we looked
        state = advance(PERSON_FLOW, PersonState(row.state), PersonEvent.REGISTER)
        seal = self._vault.seal
        work.execute(
            update(person)
            .where(person.c.person_id == row.person_id)
            .values(
                state=state.value,
                id_number_index=match.index,
                id_number_sealed=seal(person.c.id_number_sealed, row.person_id, match.number.text),
                name_sealed=seal(person.c.name_sealed, row.person_id, match.name),
                matched_at=work.now,
                misses=0,
                misses_since=None,
            )
        )

    def _count_miss(self, work: Work, row: Row[Any]) -> None:
        going_on = row.misses_since is not None and work.now < row.misses_since + MISSES_WINDOW
        work.execute(
            update(person)
            .where(person.c.person_id == row.person_id)
            .values(
                misses=row.misses + 1 if going_on else 1,
                misses_since=row.misses_since if going_on else work.now,
            )
        )

    def _load(self, work: Work, records: list[BaseRecord]) -> int:
        rows = {row["id_number_index"]: row for row in (self._row(work, one) for one in records)}
        insert = work.upsert_into(base_person).values(list(rows.values()))
        replaced = {
            name: insert.excluded[name]
            for name in ("id_number_sealed", "name_sealed", "is_local", "content_mac", "loaded_at")
        }
        written = work.execute(
            insert.on_conflict_do_update(
                index_elements=["id_number_index"],
                set_=replaced,
                where=base_person.c.content_mac != insert.excluded.content_mac,
            ).returning(base_person.c.id_number_index)
        )
        return len(written.all())

    def _row(self, work: Work, record: BaseRecord) -> dict[str, Any]:
        vault, number = self._vault, record.id_number.text
        index = vault.index("id_number", number)
        place = index.hex()
        return {
            "id_number_index": index,
            "id_number_sealed": vault.seal(base_person.c.id_number_sealed, place, number),
            "name_sealed": vault.seal(base_person.c.name_sealed, place, record.name),
            "is_local": record.is_local,
            "content_mac": vault.index(
                "base_person", f"{number} {record.name} {record.is_local:d}"
            ),
            "loaded_at": work.now,
        }


def _check_misses(row: Row[Any], work: Work) -> None:
    if row.misses < MISSES_MAX or row.misses_since is None:
        return
    left = row.misses_since + MISSES_WINDOW - work.now
    if left > timedelta():
        raise RegistrationTooOften(retry_after_seconds=seconds_up(left))


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _batches(source: Iterator[BaseRecord]) -> Iterator[list[BaseRecord]]:
    while batch := list(islice(source, LOAD_BATCH)):
        yield batch
