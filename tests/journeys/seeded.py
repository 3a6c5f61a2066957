"""A city that has lived through the story, and every secret in it that a test can know."""

from __future__ import annotations

import base64
import csv
import json
import re
import secrets
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from backend.kernel import new_id
from backend.keys import KeyRef
from backend.keys.secret import Secret
from backend.keys.store import Store
from sdk_mobile import FileStorage, Refused, SandboxPlatform
from sdk_mobile.cards import CardKeys
from sdk_mobile.shapes import decode
from sdk_mobile.state import Session, StateDocument
from tests.journeys import hunting
from tests.journeys.hunting import Quarry
from tools.story.instance import ROOT, Instance, fresh_instance
from tools.story.player import play
from tools.story.reader import LoopbackTill
from tools.story.record import Record
from tools.story.stage import BANK_CARD, Stage

TIMEOUT_SECONDS = 15.0
PASSPHRASE = "correct horse battery staple 7391"
POLL_SECONDS = 0.05
CODES_SENT = 2  # the log-in's and the card's
PRIVATE_FIGURE = bytes.fromhex("0201010420")  # ECPrivateKey: version 1, OCTET STRING of 32
CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")


@dataclass(frozen=True, slots=True)
class Played:
    """A running city after the story, with a card that took a one-time code."""

    instance: Instance
    stage: Stage
    phone: Path
    quarries: tuple[Quarry, ...] = field(repr=False)

    def named(self, *names: str) -> list[Quarry]:
        found = [one for one in self.quarries if one.name in names]
        assert {one.name for one in found} == set(names)
        return found

    def all_but(self, *names: str) -> list[Quarry]:
        spared = self.named(*names)
        return [one for one in self.quarries if one not in spared]


def with_passphrase(folder: Path) -> dict[str, str]:
    """Settings of a keystore that opens with our passphrase, which lies in `folder`."""
    path = folder / "passphrase"
    path.write_text(PASSPHRASE, encoding="utf-8")
    return {"CITY_KEYS_PASSPHRASE_FILE": str(path)}


def write_city(folder: Path) -> Path:
    """The demo city with people of its own: numbers full of zeros are found anywhere by chance."""
    text = (ROOT / "city.toml").read_text(encoding="utf-8")
    for name, path in (
        ("data/demo/persons.csv", _write_persons(folder / "persons.csv")),
        ("data/demo/merchants.toml", ROOT / "data" / "demo" / "merchants.toml"),
    ):
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', f'"{path}"')
    path = folder / "city.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _write_persons(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "id_number", "phone", "local_household"))
        for surname in "林周苏顾沈":
            phone = f"13{10**8 + secrets.randbelow(9 * 10**8)}"
            if phone[-4:-1] == "900":  # the sandbox's SMS centre plays faults on some of them
                phone = f"{phone[:-4]}7316"
            name = surname + "".join(secrets.choice("晓致念清怀远岚舟安") for _ in range(3))
            rows.writerow((name, _make_id_number(), phone, "yes"))
    return path


def _make_id_number() -> str:
    """GB 11643: fictional region, day of birth, serial, check character (ISO 7064 MOD 11-2)."""
    born = date(1960, 1, 1) + timedelta(days=secrets.randbelow(14_000))
    body = f"999901{born:%Y%m%d}{secrets.randbelow(1000):03d}"
    total = sum(int(digit) << (17 - index) for index, digit in enumerate(body))
    return body + "10X98765432"[total % 11]


@contextmanager
def played(folder: Path, **settings: str) -> Iterator[Played]:
    """Play the story against a fresh city whose keystore needs a passphrase."""
    phones = folder / "phones"
    phones.mkdir()
    city_path = write_city(folder)
    own = {"CITY_CONFIG": str(city_path), **with_passphrase(folder)}
    with ExitStack() as exits:
        instance = exits.enter_context(fresh_instance(**own, **settings))
        stage = Stage(
            public=instance.public,
            internal=instance.internal,
            city=tomllib.loads(city_path.read_text(encoding="utf-8")),
            city_folder=folder,
            folder=phones,
            till=LoopbackTill(),
            exits=exits,
            platform=SandboxPlatform.load(instance.vendor_key),
        )
        play(stage, Record(None))
        phone = phones / f"phone-{stage.citizen.phone}"
        _ask_for_a_one_time_code(stage, phone)
        quarries = (*keys_of(instance), *_secrets_of(stage), *_held_by(phone))
        yield Played(instance, stage, phone, quarries)


def _ask_for_a_one_time_code(stage: Stage, phone: Path) -> None:
    """A new SIM suspends the card; its holder ends that with a code."""
    session = _session_of(phone)
    told = httpx.post(
        f"{stage.public}/v1/me/card-events",
        json={"event_id": new_id("cev"), "kind": "sim_change"},
        headers={
            "Authorization": f"Bearer {session.access_token}",
            "Idempotency-Key": "seeded-sim-change",
        },
        timeout=TIMEOUT_SECONDS,
        trust_env=False,
    )
    assert told.status_code == 201, told.text
    with pytest.raises(Refused) as refused:
        stage.wallet.release()
    assert refused.value.code == "step_up_required"
    code = _await_code(stage)
    stage.wallet.answer_step_up(str(refused.value.data["step_up_id"]), code)
    assert stage.wallet.release().state == "active"


def _await_code(stage: Stage) -> str:
    """The one-time code after the log-in's; a notice of the suspension comes beside it."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(codes := _codes_sent(stage)) < CODES_SENT:
        assert time.monotonic() < deadline, "no code came"
        time.sleep(POLL_SECONDS)  # sleep: another process sends it, at its own time
    return codes[0]


def _codes_sent(stage: Stage) -> list[str]:
    """Newest first; a message names its code in two languages."""
    answer = stage.staff.get("/v1/ops/sandbox/messages", phone=stage.citizen.phone)
    return list(dict.fromkeys(code for one in answer["data"] for code in CODE.findall(one["text"])))


def keys_of(instance: Instance) -> Iterator[Quarry]:
    """Whatever opens something, of a city whose keystore has our passphrase."""
    folder = instance.var / "keys"
    store = Store.reach(folder / "keystore.json", folder / "kek", Secret(PASSPHRASE.encode()))
    yield hunting.text("keystore passphrase", PASSPHRASE)
    yield hunting.key("key-encryption key", store.kek.reveal())
    yield hunting.key("kek file", (folder / "kek").read_bytes())
    yield hunting.key("vendor's key", instance.vendor_key.read_bytes())
    versions = [one for one in store.read().versions if one.sealed]
    assert len(versions) > 10
    for one in versions:
        assert one.sealed is not None
        yield hunting.key(f"key {one.name}", _bare(one.ref, store.unseal(one.name, one.sealed)))


def _bare(ref: KeyRef, secret: bytes) -> bytes:
    """The bytes that would give the key away: of a pair its private figure (RFC 5915)."""
    if ref.algorithm not in ("es256", "sm2"):
        return secret
    _, found, rest = secret.partition(PRIVATE_FIGURE)
    assert found
    return rest[:32]


def _secrets_of(stage: Stage) -> Iterator[Quarry]:
    codes = _codes_sent(stage)
    assert len(codes) == CODES_SENT
    yield from (hunting.digits("one-time code", code) for code in codes)
    path = stage.city_folder / stage.city["demo_data"]["persons"]
    with path.open(encoding="utf-8", newline="") as file:
        persons = list(csv.DictReader(file))
    assert stage.citizen.id_number in {one["id_number"] for one in persons}
    for person in persons:
        yield hunting.digits("identity number", person["id_number"])
        yield hunting.digits("phone number", person["phone"])
        yield hunting.text("person's name", person["name"])
    yield hunting.digits("bank card", BANK_CARD)
    for code in stage.activation_codes.values():
        yield hunting.text("activation code", code)
    for member in stage.city["demo_staff"]:
        yield hunting.text("staff password", member["password"])
        yield hunting.text("staff TOTP secret", member["totp_secret"])
        yield hunting.key("staff TOTP secret", base64.b32decode(member["totp_secret"]))


def _held_by(phone: Path) -> Iterator[Quarry]:
    """What the backend made for the phone, and must not keep."""
    session = _session_of(phone)
    yield hunting.text("access token", session.access_token.rpartition(".")[2])
    yield hunting.text("refresh token", session.refresh_token)
    with closing(FileStorage(phone)) as storage:
        raw = storage.read("card_keys")
    assert raw is not None
    keys = decode(CardKeys, json.loads(raw))
    yield hunting.key("limited-use key", keys.limited_use_key)
    yield hunting.key("pay code key", keys.pay_code_key)


def _session_of(phone: Path) -> Session:
    with closing(FileStorage(phone)) as storage:
        session = StateDocument(storage).read().session
    assert session is not None
    return session
