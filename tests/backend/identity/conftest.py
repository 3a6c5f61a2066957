"""A city with log-in on real databases, an SMS sandbox, and phones with keys of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from backend.db import OutboxWorker, Units
from backend.identity import (
    LOGIN_CODE_REQUESTED,
    BaseRecord,
    Identity,
    IdNumber,
    LogIn,
    LoginCodeSender,
    Logins,
    SandboxSms,
    Tokens,
)
from backend.identity.model import check_digit
from backend.kernel import ManualClock, new_id
from backend.keys import SoftwareKeys
from backend.web import AccessTokens


def id_number(birth: str, serial: int = 24) -> str:
    """A number with a valid check digit in the region nobody lives in."""
    first = f"999901{birth}{serial:03d}"
    return first + check_digit(first)


@dataclass(slots=True)
class Phone:
    """A phone: its number and its device key."""

    number: str
    clock: ManualClock
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def proof(self, audience: str, jti: str) -> str:
        claims = {"aud": audience, "jti": jti, "iat": int(self.clock.now().timestamp())}
        return jwt.encode(claims, self.key, algorithm="ES256")

    def log_in(self, challenge_id: str, code: str, **changes: Any) -> LogIn:
        values: dict[str, Any] = {
            "challenge_id": challenge_id,
            "phone": self.number,
            "code": code,
            "device_key": self.key.public_key(),
            "device_name": "Lin's phone",
            "proof": self.proof("/v1/login/sessions", challenge_id),
        }
        return LogIn(**{**values, **changes})

    def refresh_proof(self, jti: str | None = None) -> str:
        return self.proof("/v1/login/refresh", jti or new_id("prf"))


@dataclass(slots=True)
class City:
    """The parts joined as the application joins them."""

    units: Units
    clock: ManualClock
    tokens: AccessTokens
    logins: Logins
    identity: Identity
    sandbox: SandboxSms
    sender: LoginCodeSender
    worker: OutboxWorker

    def phone(self, number: str = "13800000001") -> Phone:
        return Phone(number, self.clock)

    def ask(self, phone: Phone, language: str = "zh") -> tuple[str, str]:
        """Ask for a code and read it on the phone: challenge id and code."""
        asked = self.logins.ask_code(phone.number, language)
        self.worker.deliver_due()
        newest = self.sandbox.messages(phone.number)[0]
        assert newest.message_id == asked.challenge_id
        match = re.search(r"[0-9]{6}", newest.text)
        assert match
        return asked.challenge_id, match.group()

    def log_in(self, phone: Phone) -> Tokens:
        return self.logins.log_in(phone.log_in(*self.ask(phone)))

    def person_id(self, tokens: Tokens) -> str:
        return self.tokens.check(tokens.access_token).id

    def load(self, *people: tuple[str, str]) -> int:
        records = [BaseRecord(name, IdNumber(number), True) for name, number in people]
        return self.identity.load_base_records(records)


@pytest.fixture
def city(units: Units, clock: ManualClock, keys: SoftwareKeys, tmp_path: Path) -> City:
    tokens = AccessTokens(keys, clock)
    sandbox = SandboxSms(tmp_path / "sandbox" / "sandbox_sms.db", clock)
    sender = LoginCodeSender(units, keys, sandbox)
    return City(
        units=units,
        clock=clock,
        tokens=tokens,
        logins=Logins(units, keys, tokens),
        identity=Identity(units, keys),
        sandbox=sandbox,
        sender=sender,
        worker=OutboxWorker(units, {LOGIN_CODE_REQUESTED: sender.deliver}),
    )


@pytest.fixture
def make_id_number() -> Any:
    return id_number


@pytest.fixture
def adult() -> Mapping[str, str]:
    """A person of the base records."""
    return {"name": "林晓岚", "id_number": "999901198804120243"}
