"""Staff on real databases, with a cheap password hash, and the internal network."""

from __future__ import annotations

from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.staff import Staff, StaffAuthenticator, StaffCookie
from backend.staff.api import internal_blueprint
from backend.web import CallerKind, access, caller
from backend.web.application import Network, make_app

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def staff(units: Units, keys: SoftwareKeys) -> Staff:
    made = Staff(units, keys, CHEAP)
    made.add("wang", "correct horse", SECRET, ["operator"])
    return made


@pytest.fixture
def totp(clock: ManualClock) -> Any:
    """The digits an authenticator shows now, or some steps away."""

    def show(steps: int = 0, secret: str = SECRET) -> str:
        return pyotp.TOTP(secret).at(clock.now(), counter_offset=steps)

    return show


def _desk() -> Blueprint:
    """Routes that stand for all the others of the internal network."""
    desk = Blueprint("desk", __name__)

    @desk.route("/v1/ops/ledger")
    class Ledger(MethodView):
        @access(CallerKind.STAFF, "ledger.read")
        def get(self) -> dict[str, Any]:
            who = caller()
            return {"id": who.id, "scopes": sorted(who.scopes), **who.context}

        @access(CallerKind.STAFF, "custody.write")
        def post(self) -> dict[str, Any]:
            return {}

    return desk


@pytest.fixture
def make_internal(staff: Staff, keys: SoftwareKeys, databases: Any) -> Any:
    def make(*, secure: bool = False) -> Flask:
        cookie = StaffCookie(secure=secure)
        network = Network(
            name="internal",
            title="internal",
            blueprints=[internal_blueprint, _desk()],
            authenticator=StaffAuthenticator(staff, cookie),
            keys=keys,
            databases=databases,
            services=[staff, cookie],
        )
        return make_app(network)

    return make
