"""The portal on real databases, with the settings of the repository's own city.toml."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.config import load_config
from backend.db import OutboxWorker, Units
from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.portal import Portal
from backend.portal import api as portal_api
from backend.wallet import Ledger, Limits, Proof
from backend.wallet.bank import SandboxBank
from backend.web.application import BearerAuthenticator, Network, make_app
from backend.web.tokens import AccessTokens

STORY: dict[str, Any] = {
    "started_at": "2026-11-23T10:00:00+08:00",
    "finished_at": "2026-11-23T10:00:09+08:00",
    "ok": True,
    "reader": "pcsc",
    "steps": [
        {
            "number": 1,
            "name_zh": "市民登记",
            "name_en": "A citizen registers",
            "milliseconds": 84.2,
            "detail_zh": "与基础信息比对一致",
            "detail_en": "matched with the base records",
        },
        {
            "number": 2,
            "name_zh": "充值 200 元，银行超时后成功",
            "name_en": "Top-up of 200 yuan, late answer",
            "milliseconds": 2310,
            "detail_zh": "只入账一次",
            "detail_en": "credited once",
        },
        {
            "number": 3,
            "name_zh": "刷卡 12.50 元",
            "name_en": "Tap of 12.50 yuan",
            "milliseconds": 4.26,
            "detail_zh": "余额 187.50 元",
            "detail_en": "balance 187.50 yuan",
        },
    ],
    "total_milliseconds": 2398.46,
}

WriteStory = Callable[..., None]


@pytest.fixture
def bank(tmp_path: Path, clock: ManualClock) -> SandboxBank:
    return SandboxBank(tmp_path / "bank.db", clock, lambda data: b"m" * 32)


@pytest.fixture
def city() -> dict[str, Any]:
    """The settings, to be changed by a test."""
    return copy.deepcopy(dict(load_config({}).city))


@pytest.fixture
def portal(units: Units, bank: SandboxBank, city: dict[str, Any], tmp_path: Path) -> Portal:
    return Portal(
        city=city,
        story_path=tmp_path / "story.json",
        public_url="http://127.0.0.1:8080",
        internal_url="http://127.0.0.1:8081",
        units=units,
        worker=OutboxWorker(units, {}),
        proof=Proof(units, Ledger(Limits([])), bank),
    )


@pytest.fixture
def write_story(portal: Portal) -> WriteStory:
    """Writes the result file; keyword arguments replace members."""

    def write(**changes: object) -> None:
        portal.story_path.write_text(json.dumps({**STORY, **changes}), encoding="utf-8")

    return write


@pytest.fixture
def public_app(portal: Portal, keys: SoftwareKeys) -> Flask:
    return _app("public", portal_api.blueprint, portal, keys)


@pytest.fixture
def internal_app(portal: Portal, keys: SoftwareKeys) -> Flask:
    return _app("internal", portal_api.internal_blueprint, portal, keys)


@pytest.fixture
def public(public_app: Flask) -> FlaskClient:
    return public_app.test_client()


@pytest.fixture
def internal(internal_app: Flask) -> FlaskClient:
    return internal_app.test_client()


def _app(name: str, blueprint: Any, portal: Portal, keys: SoftwareKeys) -> Flask:
    tokens = AccessTokens(keys, portal.units.clock, int(timedelta(minutes=15).total_seconds()))
    app = make_app(
        Network(
            name=name,
            title=f"澄江湾市市民卡 · {name}",
            blueprints=(),
            authenticator=BearerAuthenticator(tokens),
            keys=keys,
            databases=portal.units.databases,
            services=(portal,),
        )
    )
    app.register_blueprint(blueprint)
    return app
