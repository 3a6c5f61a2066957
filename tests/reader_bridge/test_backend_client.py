"""Login, retries and the two kinds of "no"; the key that stays in its file."""

from __future__ import annotations

import json

import pytest

from card_protocol.signatures import Suite
from reader_bridge.backend_client import ATTEMPTS_MAX, BackendClient, Refused, Unreachable
from reader_bridge.client_key import (
    IDENTITY_FILE,
    KEY_FILE,
    load_identity,
    load_key,
    load_or_make_key,
)
from reader_bridge.faults import TerminalFault
from reader_bridge.profile import profile_of
from reader_bridge.terminal import Terminal
from tests.reader_bridge.support import ACTIVATION_CODE, unb64

CODES = "/v1/terminal/codes"
BODY = json.dumps({"bill_number": "B1", "amount_fen": 1}).encode()


def test_activation_keeps_a_private_key_and_says_who_we_are(terminal, folder):
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (folder / IDENTITY_FILE).stat().st_mode & 0o777 == 0o600
    assert terminal.identity == load_identity(folder)
    assert terminal.identity.shop_name == "一号店"
    key = load_key(folder)
    assert "secret" in repr(key)
    secret = key.private_key.private_numbers().private_value
    stored = (folder / IDENTITY_FILE).read_text()
    assert str(secret) not in stored
    assert "PRIVATE" not in stored


def test_a_lost_activation_answer_is_asked_again_with_the_same_key(backend, folder, test_time):
    backend.script = ["lose_answer"] * ATTEMPTS_MAX
    with pytest.raises(Unreachable):
        Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=test_time.clock())
    assert not (folder / IDENTITY_FILE).exists()
    Terminal.activate(folder, backend.url, ACTIVATION_CODE.lower(), clock=test_time.clock()).close()
    with pytest.raises(TerminalFault, match="already_activated"):
        Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=test_time.clock())


def test_a_wrong_code_or_a_code_for_something_else_makes_no_terminal(backend, folder, test_time):
    with pytest.raises(Refused, match="activation_code_wrong"):
        Terminal.activate(folder, backend.url, "XXXX-XXXX", clock=test_time.clock())
    backend.kind = "merchant"
    with pytest.raises(TerminalFault, match="wrong_kind"):
        Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=test_time.clock())
    with pytest.raises(TerminalFault, match="not_activated"):
        Terminal.open(folder)


def test_one_token_serves_until_shortly_before_its_end(terminal, backend, test_time):
    assert len(backend.logins) == 1
    test_time.forward(269)
    terminal.client.ensure_session()
    assert len(backend.logins) == 1
    test_time.forward(1)
    terminal.client.ensure_session()
    assert len(backend.logins) == 2
    assert set(backend.logins.values()) == {1}, "an assertion is used once"


def test_a_token_that_the_backend_forgot_is_renewed_once(terminal, backend):
    backend.tokens_valid.clear()
    terminal.client.post(CODES, BODY, "code_1")
    assert len(backend.logins) == 2
    assert backend.paths() == [CODES, CODES]


def test_a_refusal_is_typed_and_never_retried(terminal, backend):
    terminal.client.post(CODES, BODY, "code_1")
    backend.requests.clear()
    with pytest.raises(Refused) as caught:
        terminal.client.post(CODES, BODY + b" ", "code_1")
    refused = caught.value
    assert (refused.code, refused.status, refused.retryable) == (
        "idempotency_key_reused",
        409,
        False,
    )
    assert refused.detail == "no: idempotency_key_reused"
    assert backend.paths() == [CODES]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("lose_answer", "connection_lost"),
        ("running", "answered_409"),
        ("broken", "answered_500"),
        ("nonsense", "answer_not_understood"),
    ],
)
def test_no_answer_is_tried_a_bounded_number_of_times(terminal, backend, test_time, word, reason):
    backend.script = [word] * 10
    with pytest.raises(Unreachable) as caught:
        terminal.client.post(CODES, BODY, "code_1")
    assert caught.value.sent
    assert caught.value.reason == reason
    assert len(backend.requests) == ATTEMPTS_MAX
    assert {(body, key) for _, _, body, key in backend.requests} == {(BODY, "code_1")}
    assert test_time.pauses == [0.1, 0.2], "half of 0.2, half of 0.4: the dice say 0.5"


def test_tries_end_with_the_time_for_an_answer(terminal, backend, test_time):
    terminal.client.timeout_seconds = 0.15
    backend.script = ["broken"] * 10
    with pytest.raises(Unreachable):
        terminal.client.post(CODES, BODY, "code_1")
    assert len(backend.requests) == 2


def test_an_endless_answer_is_cut(terminal, backend):
    backend.profile = lambda: {"padding": "x" * 2_000_000}
    with pytest.raises(Unreachable, match="answer_too_long"):
        terminal.client.get("/v1/terminal/profile")


@pytest.mark.parametrize(
    "url", ["http://city.example", "ftp://127.0.0.1", "city.example", "", "https://", "http://["]
)
def test_addresses_that_would_show_the_sale_to_others(url, folder):
    with pytest.raises(TerminalFault, match="address_refused"):
        Terminal.activate(folder, url, ACTIVATION_CODE)


@pytest.mark.parametrize("url", ["https://city.example", "http://localhost:1", "http://[::1]:1"])
def test_addresses_that_are_fine(url, tmp_path):
    BackendClient(url, load_or_make_key(tmp_path), "trm_1").close()


@pytest.mark.parametrize("name", [KEY_FILE, IDENTITY_FILE])
def test_state_that_others_may_read_or_that_is_damaged(terminal, folder, name):
    (folder / name).chmod(0o644)
    with pytest.raises(TerminalFault, match="key_exposed"):
        Terminal.open(folder)
    (folder / name).chmod(0o600)
    (folder / name).write_bytes(b"{}")
    with pytest.raises(TerminalFault, match="state_damaged"):
        Terminal.open(folder)
    (folder / name).unlink()
    with pytest.raises(TerminalFault, match="not_activated"):
        Terminal.open(folder)


P256 = {"kty": "EC", "crv": "P-256"}
WHOLE = {**P256, "x": "A" * 43, "y": "B" * 42 + "A"}
BAD_PROFILES = {
    "aid": {"applications": [{"aid": "XX", "label": "a", "priority": 1}]},
    "applications": {"applications": None},
    "half a key": {"issuer_keys": [{"index": 1, "public_key": {**P256, "x": "AA"}}]},
    "short key": {"issuer_keys": [{"index": 1, "public_key": {**P256, "x": "AA", "y": "AA"}}]},
    "curve": {"issuer_keys": [{"index": 1, "public_key": {"kty": "OKP"}}]},
    "SM2 said, P-256 given": {"issuer_keys": [{"index": 1, "suite": 2, "public_key": WHOLE}]},
    "SM2 given, ES256 said": {
        "issuer_keys": [{"index": 1, "suite": 1, "public_key": {**WHOLE, "crv": "SM2"}}]
    },
    "SM2 given, nothing said": {
        "issuer_keys": [{"index": 1, "public_key": {**WHOLE, "crv": "SM2"}}]
    },
    "suite by name": {"issuer_keys": [{"index": 1, "suite": "2", "public_key": WHOLE}]},
    "suite true": {"issuer_keys": [{"index": 1, "suite": True, "public_key": WHOLE}]},
    "two keys of one name": {
        "issuer_keys": [
            {"index": 1, "public_key": WHOLE},
            {"index": 1, "suite": 1, "public_key": {**WHOLE, "y": WHOLE["x"]}},
        ]
    },
    "currency": {"currency": 840},
    "no time": {"online_timeout_seconds": 0},
    "all day": {"online_timeout_seconds": 86_400},
}


@pytest.mark.parametrize("change", BAD_PROFILES.values(), ids=BAD_PROFILES.keys())
def test_a_profile_that_is_none(backend, terminal, change):
    assert profile_of(backend.profile()).version == 3
    whole = {**backend.profile(), **change}
    backend.profile = lambda: whole
    terminal._profile = None
    with pytest.raises(Unreachable, match="answer_not_understood"):
        terminal.profile()


def test_issuer_keys_are_named_by_suite_and_index(backend):
    """Goal: a document of before means ES256; a suite nobody knows yet stops no terminal."""
    keys = [
        {"index": 1, "public_key": WHOLE},
        {"index": 1, "suite": 2, "public_key": {**WHOLE, "crv": "SM2"}},
        {"index": 2, "suite": 1, "public_key": WHOLE},
        {"index": 1, "suite": 3, "public_key": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}},
    ]
    told = profile_of({**backend.profile(), "issuer_keys": keys}).issuer_keys
    assert set(told) == {(Suite.AES_ES256, 1), (Suite.SM4_SM2, 1), (Suite.AES_ES256, 2)}
    assert set(told.values()) == {b"\x04" + unb64(WHOLE["x"]) + unb64(WHOLE["y"])}


def test_the_profile_is_fetched_again_after_ten_minutes(terminal, backend, test_time):
    terminal.profile()
    assert backend.paths("GET") == []
    test_time.forward(600)
    terminal.profile()
    assert backend.paths("GET") == ["/v1/terminal/profile"]
