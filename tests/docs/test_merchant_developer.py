"""The page for merchants' developers: its examples run as written, its codes are all there are."""

from __future__ import annotations

import inspect
import re
import tomllib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from typeid import TypeID

from backend.app import create_public_app
from backend.config import ROOT
from backend.merchants import AddClient
from backend.web.application import BODY_MAX_BYTES, Network
from backend.web.describe import operation_refusals
from backend.web.docs import refusals
from backend.web.pages import LIMIT_DEFAULT, LIMIT_MAX
from backend.web.problems import HTTP_WORDS, STATUS
from tests.docs import pages
from tests.docs.city import City

PAGE = "merchant-developer.md"
TOP_UP_FEN = 20_000
PREFIXES = ("/v1/terminal", "/v1/merchant", "/v1/activations", "/v1/token")


@pytest.fixture(scope="module")
def played(city: City) -> dict[str, Any]:
    """What the page's Python blocks leave behind, run in their order as one program."""
    merchant = tomllib.loads((ROOT / "data/demo/merchants.toml").read_text("utf-8"))["merchants"][0]
    server = city.parts.shops.add_client(
        AddClient(str(TypeID("mcl")), merchant["merchant_id"], "web shop")
    )
    terminal_id = merchant["shops"][0]["terminals"][0]["terminal_id"]
    ordered = city.parts.shops.issue_activation_code(terminal_id)
    with city.make_phone(TOP_UP_FEN) as phone:
        names: dict[str, Any] = {
            "url": city.public,
            "activation_code": ordered.activation_code,
            "server_activation_code": server.activation_code,
            "scan": lambda: phone.pay_code().digits,
            "show": lambda content: phone.pay_merchant_code(content, 2_340),
        }
        exec(compile("\n".join(pages.blocks(PAGE, "python")), PAGE, "exec"), names)
        names["balance"] = phone.balance().balance_fen
    names["http"].close()
    return names


def test_the_examples_run_in_their_order(played: dict[str, Any]) -> None:
    """Goal: sold twice, refunded once, the lost answer charged nothing; the statement says so."""
    assert played["balance"] == TOP_UP_FEN - 1_250 - 2_340 + 500
    assert [line["amount_fen"] for line in played["lines"]] == [-500, 2_340, 1_250]
    assert played["totals"] == {
        "payments_count": 2,
        "payments_fen": 3_590,
        "refunds_count": 1,
        "refunds_fen": 500,
        "net_fen": 3_090,
    }


def test_raw_requests_are_understood(city: City, played: dict[str, Any]) -> None:
    """Goal: who has no library sends the same bytes. A used code: 402, as a problem."""
    token_request, sale = pages.blocks(PAGE, "http")
    client_id, now = played["me"]["client_id"], int(city.parts.clock.now().timestamp())
    claims = {"iss": client_id, "sub": client_id, "aud": "/v1/token", "iat": now}
    claims |= {"exp": now + 60, "jti": uuid.uuid4().hex}
    assertion = jwt.encode(claims, played["key"], algorithm="ES256")
    answer = send(city, token_request, {"assertion": assertion})
    assert answer.status_code == 200
    fills = {
        "token": answer.json()["access_token"],
        "key": uuid.uuid4().hex,
        "payment_id": str(TypeID("pay")),
        "pay_code": played["sale"]["proof"]["content"],
    }
    refused = send(city, sale, fills)
    assert (refused.status_code, refused.json()["code"]) == (402, "pay_code_used")
    assert refused.headers["Content-Type"] == "application/problem+json"


def send(city: City, block: str, fills: Mapping[str, str]) -> httpx.Response:
    """The request of a block, byte for byte, its `{names}` filled in."""
    for name, value in fills.items():
        assert f"{{{name}}}" in block, name
        block = block.replace(f"{{{name}}}", value)
    head, _, body = block.rstrip("\n").partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split()
    headers = dict(line.split(": ", 1) for line in lines)
    url = city.public + path
    return httpx.request(method, url, headers=headers, content=body.encode(), trust_env=False)


def error_rows() -> list[tuple[set[int], list[str]]]:
    """(statuses, codes) of each row of the error table."""
    return [
        ({int(one) for one in re.findall(r"\d{3}", row[0])}, re.findall(r"`([a-z_]+)`", codes(row)))
        for row in pages.table_rows(PAGE, "Status")
    ]


def codes(row: list[str]) -> str:
    return re.sub(r"\([^)]*\)", "", row[1])  # without the data in parentheses


def test_the_error_table_says_what_is() -> None:
    """Goal: each code exists, with the status in its row."""
    known = {one.code: STATUS[one.kind].value for one in refusals()}
    known |= {code: status for status, (code, _) in HTTP_WORDS.items()}
    for statuses, named in error_rows():
        assert named
        for code in named:
            assert known[code] in statuses, code


def test_no_refusal_is_missing(city: City) -> None:
    """Goal: whatever an operation of this page may refuse with is in the table."""
    named = {code for _, row in error_rows() for code in row}
    app = create_public_app(city.parts)
    asked = 0
    for rule in app.url_map.iter_rules():
        view_class = getattr(app.view_functions[rule.endpoint], "view_class", None)
        if view_class is None or not rule.rule.startswith(PREFIXES):
            continue
        for method in sorted({"GET", "POST"} & (rule.methods or set())):
            asked += 1
            missing = {one.code for one in operation_refusals(getattr(view_class, method.lower()))}
            assert missing <= named, (rule.rule, missing - named)
    assert asked > 10


def test_every_path_named_exists(city: City) -> None:
    text = pages.text_of(PAGE)
    known = [
        re.compile(re.sub(r"<[^>]*>", "[^/]+", rule.rule) + r"\Z")
        for rule in create_public_app(city.parts).url_map.iter_rules()
    ]
    named = set(re.findall(r"\"(/v1/[a-z0-9/_{}\[\]'-]+)\"", text))
    assert len(named) >= 7
    for path in named:
        filled = re.sub(r"\{[^}]*\}", "x", path)
        assert any(one.match(filled) for one in known), path


def test_figures_of_the_page(city: City) -> None:
    text = pages.text_of(PAGE)
    per_minute = inspect.signature(Network).parameters["requests_per_minute"].default
    assert f"{per_minute // 1000} 000 requests a minute" in text
    assert f"at most {BODY_MAX_BYTES // 1024} KiB" in text
    assert f"{LIMIT_DEFAULT} rows, at most {LIMIT_MAX}" in text
    seconds = city.parts.config.city["payments"]["online_timeout_seconds"]
    assert f"at least {seconds} seconds" in text
    assert timedelta(seconds=city.parts.tokens.ttl_seconds) > timedelta(minutes=1)
