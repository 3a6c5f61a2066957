"""Base records in, persons matched with them; nothing personal readable at rest."""

from __future__ import annotations

import csv
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from backend.db import METADATA, Which
from backend.identity import BaseRecord, IdNumber, PersonState, Register, read_base_records
from backend.identity.errors import (
    AlreadyRegistered,
    BaseRecordDiffers,
    BaseRecordUnknown,
    GuardianNeeded,
    IdNumberInvalid,
    NameInvalid,
    PersonUnknown,
    RegistrationTooOften,
)
from backend.identity.persons import Persons
from backend.identity.tables import base_person, person, person_id_number
from backend.identity.vault import Vault
from backend.kernel import Kind, new_id
from backend.keys import KeyUnknown

LIN = ("林晓岚", "999901198804120243")
SU = ("苏念安", "99990119991130208X")
CODES = {
    NameInvalid: ("name_invalid", Kind.INVALID),
    IdNumberInvalid: ("id_number_invalid", Kind.INVALID),
    GuardianNeeded: ("guardian_needed", Kind.FORBIDDEN),
    BaseRecordUnknown: ("base_record_unknown", Kind.UNKNOWN),
    BaseRecordDiffers: ("base_record_differs", Kind.CONFLICT),
    AlreadyRegistered: ("already_registered", Kind.CONFLICT),
    RegistrationTooOften: ("registration_too_often", Kind.LIMITED),
    PersonUnknown: ("person_unknown", Kind.UNKNOWN),
}


@pytest.fixture
def me(city):
    """A person who has logged in; the base records know Lin and Su."""
    city.load(LIN, SU)
    return city.person_id(city.log_in(city.phone()))


def register(city, person_id, name=LIN[0], number=LIN[1]):
    return city.identity.register(Register(person_id, name, number))


@pytest.mark.parametrize(("error", "told"), CODES.items())
def test_codes_are_stable(error, told):
    assert (error.code, error.kind) == told


def test_registration_matches_the_base_records(city, me):
    registered = register(city, me)
    assert registered.state is PersonState.REGISTERED
    assert registered.registered is True
    assert registered.person_id == me
    assert registered.phone_masked == "138****0001"
    assert registered.name_masked == "林**"
    assert registered.id_number_masked == "999***********0243"
    assert registered.matched_at == city.clock.now()
    assert city.identity.get_person(me) == registered


def test_a_log_in_says_that_one_is_registered(city, me):
    register(city, me)
    city.clock.advance(timedelta(seconds=60))
    phone = city.phone()
    tokens = city.log_in(phone)
    assert tokens.registered is True
    assert city.logins.refresh(tokens.refresh_token, phone.refresh_proof()).registered is True


def test_the_same_again_hears_the_same(city, me):
    first = register(city, me)
    city.clock.advance(timedelta(days=40))
    assert register(city, me) == first
    assert register(city, me, " 林 晓岚 ", f" {LIN[1]} ") == first


def test_a_small_x_and_another_dot_are_forgiven(city, me):
    name = "阿依古丽·买买提"
    city.load((name, SU[1]))
    assert register(city, me, "阿依古丽•买买提", SU[1].lower()).registered


def test_refusals_change_nothing(city, me, make_id_number):
    unknown = make_id_number("19900101")
    child, teenager = make_id_number("20150101"), make_id_number("20111231")
    cases = [
        (NameInvalid, ("", LIN[1])),
        (IdNumberInvalid, (LIN[0], LIN[1][:-1] + "4")),
        (IdNumberInvalid, (LIN[0], make_id_number("20270101"))),
        (GuardianNeeded, (LIN[0], child)),
        (GuardianNeeded, (LIN[0], teenager)),
        (BaseRecordUnknown, (LIN[0], unknown)),
        (BaseRecordDiffers, (SU[0], LIN[1])),
    ]
    before = city.identity.get_person(me)
    for error, (name, number) in cases:
        with pytest.raises(error):
            register(city, me, name, number)
        assert city.identity.get_person(me) == before
    assert register(city, me).registered


def test_the_age_counts_on_the_business_date(city, me, make_id_number):
    """Goal: sixteen at midnight in Shanghai, which is 16:00 UTC of the day before."""
    name, number = "周小满", make_id_number("20101124")
    city.load((name, number))
    city.clock.advance(timedelta(hours=13, minutes=59))  # 23:59 in Shanghai
    with pytest.raises(GuardianNeeded) as refusal:
        register(city, me, name, number)
    assert refusal.value.article
    city.clock.advance(timedelta(minutes=1))
    assert register(city, me, name, number).registered


def test_a_person_has_one_registration(city, me):
    register(city, me)
    for name, number in (SU, (SU[0], LIN[1]), (LIN[0], SU[1])):
        with pytest.raises(AlreadyRegistered):
            register(city, me, name, number)


def test_a_number_has_one_person(city, me):
    register(city, me)
    other = city.person_id(city.log_in(city.phone("13800000002")))
    with pytest.raises(AlreadyRegistered):
        register(city, other)
    with pytest.raises(BaseRecordDiffers):  # who guesses a name learns nothing of the other
        register(city, other, SU[0], LIN[1])
    assert register(city, other, *SU).registered


def test_a_number_has_one_person_also_when_two_overlap(city, me):
    other = city.person_id(city.log_in(city.phone("13800000002")))
    outcomes = []

    def run(person_id):
        try:
            outcomes.append(register(city, person_id))
        except AlreadyRegistered as refusal:
            outcomes.append(refusal)

    threads = [threading.Thread(target=run, args=(one,)) for one in (me, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(getattr(one, "code", "registered") for one in outcomes) == [
        "already_registered",
        "registered",
    ]


def test_a_claim_that_came_in_between_refuses(city, me):
    """Goal: the unique row decides, not the look before it."""
    service = city.identity
    with city.units.write(Which.IDENTITY) as work:
        row = service._persons.get(work, me, locked=True)
        match = service._decide(work, row, Register(me, *LIN))
        claim = {"id_number_index": match.index, "person_id": new_id("per")}
        work.execute(person_id_number.insert(), claim)
        with pytest.raises(AlreadyRegistered):
            service._write_match(work, row, match)
    assert city.identity.get_person(me).registered is False


def test_guessing_names_is_limited(city, me):
    for _ in range(10):
        with pytest.raises(BaseRecordDiffers):
            register(city, me, "张三")
    city.clock.advance(timedelta(hours=23, minutes=59))
    with pytest.raises(RegistrationTooOften) as refusal:
        register(city, me)
    assert refusal.value.data == {"retry_after_seconds": 60}
    city.clock.advance(timedelta(minutes=1))
    with pytest.raises(BaseRecordDiffers):
        register(city, me, "张三")
    assert register(city, me).registered


def test_nobody_registers_without_a_person(city):
    with pytest.raises(PersonUnknown):
        register(city, new_id("per"))


def test_loading_twice_changes_nothing(city):
    def rows():
        with city.units.read(Which.IDENTITY) as work:
            return work.execute(select(base_person)).all()

    assert city.load(LIN, SU) == 2
    before = rows()
    city.clock.advance(timedelta(days=1))
    assert city.load(LIN, SU) == 0
    assert rows() == before
    assert city.load(("林岚", LIN[1]), SU, SU) == 1
    assert city.load() == 0
    assert len(rows()) == 2


def test_many_records_are_loaded_in_batches(city, make_id_number):
    people = [(f"甲{n}", make_id_number("19800101", n)) for n in range(1000)]
    people += [("乙", make_id_number("19800102", n)) for n in range(30)]
    assert city.load(*people) == 1030
    assert city.load(*people) == 0


def test_loading_is_all_or_none(city):
    def records():
        for name, number in [LIN, SU] * 300:
            yield BaseRecord(name, IdNumber(number), True)
        raise RuntimeError("the file ended in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        city.identity.load_base_records(records())
    with city.units.read(Which.IDENTITY) as work:
        assert work.execute(select(base_person)).all() == []


def test_a_sealed_value_opens_in_its_own_place_only(city, me, keys):
    vault = Vault(keys)
    register(city, me)
    with city.units.read(Which.IDENTITY) as work:
        row = Persons(vault).get(work, me)
    assert vault.unseal(person.c.name_sealed, me, row.name_sealed) == LIN[0]
    for column, row_id in ((person.c.name_sealed, new_id("per")), (person.c.phone_sealed, me)):
        with pytest.raises(KeyUnknown):
            vault.unseal(column, row_id, row.name_sealed)


def test_the_database_says_the_law_again(city, me):
    for values in ({"state": "registered"}, {"state": "famous"}, {"misses": -1}):
        with pytest.raises(IntegrityError), city.units.write(Which.IDENTITY) as work:
            work.execute(person.update().values(**values))


def test_nothing_personal_is_readable_at_rest(city, me, databases):
    """Goal: names, numbers, phones, codes and tokens are in no row and in no byte of the file."""
    phone = city.phone()
    register(city, me)
    city.clock.advance(timedelta(seconds=60))
    challenge_id, code = city.ask(phone)
    tokens = city.logins.log_in(phone.log_in(challenge_id, code))
    renewed = city.logins.refresh(tokens.refresh_token, phone.refresh_proof("jti-of-a-proof"))
    secrets = [*LIN, *SU, "13800000001", "Lin's phone", "jti-of-a-proof"]
    secrets += [tokens.refresh_token, renewed.refresh_token, renewed.access_token]
    kept = _everything_at(databases)
    assert me.encode() in kept  # the search can find something
    for secret in secrets:
        assert secret.encode() not in kept
        assert repr(secret).strip("'\"").encode("unicode_escape") not in kept
    assert f'"{code}"'.encode() not in kept


def _everything_at(databases):
    """All rows of the identity database, and on SQLite its files."""
    found = []
    with databases[Which.IDENTITY].engine.connect() as connection:
        for table in METADATA[Which.IDENTITY].tables.values():
            for row in connection.execute(select(table)):
                found += [v if isinstance(v, bytes) else str(v).encode() for v in row]
    if databases[Which.IDENTITY].is_sqlite:
        path = Path(databases[Which.IDENTITY].engine.url.database)
        found += [one.read_bytes() for one in path.parent.glob(path.name + "*")]
    return b"\n".join(found)


def test_the_demo_city_s_people_can_be_loaded(city):
    path = Path(__file__).resolve().parents[3] / "data" / "demo" / "persons.csv"
    with path.open(encoding="utf-8", newline="") as file:
        records = list(read_base_records(csv.DictReader(file)))
    assert city.identity.load_base_records(records) == len(records) > 0
    assert city.identity.load_base_records(records) == 0
