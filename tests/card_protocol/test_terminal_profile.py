"""Goal: fares, limits and signed documents say what they say, or are refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.fares import FARE_MAX_FEN, FlatFare, MatrixFare, TimedFare, fare_of
from card_protocol.ride_certificate import RideSuite
from card_protocol.signatures import compressed_point, sign
from card_protocol.signed_document import encode_document, open_document, point_of_jwk
from card_protocol.terminal_profile import (
    Means,
    Mode,
    OfflineLimits,
    ProfileTerms,
    RideAuthorities,
    WhenExpired,
    ride_authorities_of,
    terms_of,
)

KEY = ec.derive_private_key(0x90F11E, ec.SECP256R1())
PINS = {"one": compressed_point(KEY.public_key())}
HOUR = 3600
PARKING = TimedFare(unit_seconds=1800, unit_fen=250, free_seconds=900, day_max_fen=4000)
METRO = MatrixFare(("a", "b", "c"), ((200, 300, 500), (300, 200, 300), (600, 300, 200)))


@pytest.mark.parametrize(
    ("seconds", "fen"),
    [
        (0, 0),
        (900, 0),  # free to its last second
        (901, 250),
        (900 + 1800, 250),
        (900 + 1801, 500),
        (8 * HOUR, 16 * 250),
        (24 * HOUR, 4000),
        (24 * HOUR + 1, 4250),  # free minutes are given once
        (48 * HOUR, 8000),
        (72 * HOUR + 1800, 12_250),
    ],
)
def test_a_stay_costs_started_units_up_to_the_days_cap(seconds: int, fen: int) -> None:
    assert PARKING.fare_fen(seconds) == fen


def test_a_metro_ride_costs_what_the_matrix_says() -> None:
    assert METRO.fare_fen("a", "c") == 500
    assert METRO.fare_fen("c", "a") == 600
    assert METRO.highest_fen == 600
    with pytest.raises(MalformedBytes):
        METRO.fare_fen("a", "x")


@pytest.mark.parametrize("fare", [FlatFare(200), METRO, PARKING])
def test_a_fare_is_read_as_written(fare: Any) -> None:
    assert fare_of(json.loads(json.dumps(fare.to_document()))) == fare


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"kind": "tram", "amount_fen": 1},
        {"kind": "flat"},
        {"kind": "flat", "amount_fen": 1.0},
        {"kind": "flat", "amount_fen": -1},
        {"kind": "flat", "amount_fen": FARE_MAX_FEN + 1},
        {"kind": "flat", "amount_fen": 1, "more": 2},
        {"kind": "matrix", "stations": ["a", "a"], "fen_by_stations": [[1, 1], [1, 1]]},
        {"kind": "matrix", "stations": ["a", "b"], "fen_by_stations": [[1, 1]]},
        {"kind": "matrix", "stations": ["a"], "fen_by_stations": [[1, 1]]},
        {"kind": "matrix", "stations": "a", "fen_by_stations": [[1]]},
        {"kind": "timed", "unit_seconds": 0, "unit_fen": 1, "free_seconds": 0, "day_max_fen": 1},
    ],
)
def test_what_is_no_fare_is_refused(document: Any) -> None:
    with pytest.raises(MalformedBytes):
        fare_of(document)


BUS = ProfileTerms(
    mode=Mode.BUS,
    fare=FlatFare(200),
    offline=OfflineLimits(sale_max_fen=500, count_max=9),
    when_expired=WhenExpired(accepts=frozenset({Means.EPURSE}), sale_max_fen=200, grace_seconds=60),
    purse_issuers=frozenset({bytes(range(8))}),
)


def test_terms_are_read_as_written() -> None:
    assert terms_of(json.loads(json.dumps(BUS.to_document()))) == BUS
    assert terms_of({}) == ProfileTerms()
    assert ProfileTerms().offline.sale_max_fen == 0  # nothing offline that nobody has set


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "tram"},
        {"mode": "bus"},
        {"mode": "shop", "fare": {"kind": "flat", "amount_fen": 1}},
        {"mode": "parking", "fare": {"kind": "flat", "amount_fen": 1}},
        {"colour": "red"},
        {"valid_seconds": 59},
        {"valid_seconds": True},
        {"offline": {"sale_max_fen": -1}},
        {"offline": {"sale_max_fen": "1"}},
        {"offline": []},
        {"when_expired": {"accepts": ["cash"]}},
        {"when_expired": {"accepts": "epurse"}},
        {"purse_issuers": ["0011"]},
        {"purse_issuers": ["xx"]},
        {"purse_issuers": [[1]]},
    ],
)
def test_what_are_no_terms_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedBytes):
        terms_of(changes)


RIDES = RideAuthorities(
    suite=RideSuite.ES256,
    ca_keys={1: PINS["one"]},
    issuers=frozenset({b"CITY"}),
    account_types=frozenset({1}),
    validity_seconds_max=30,
)


def test_ride_authorities_are_read_as_written() -> None:
    document = json.loads(json.dumps(RIDES.to_document()))
    assert ride_authorities_of(document) == RIDES
    for name in document:
        with pytest.raises(MalformedBytes):
            ride_authorities_of({key: value for key, value in document.items() if key != name})
    for name, wrong in {"suite": 7, "issuers": ["00"], "ca_keys": [{}], "account_types": 1}.items():
        with pytest.raises(MalformedBytes):
            ride_authorities_of({**document, name: wrong})


def signed(kind: str = "profile+jwt", name: str = "one") -> str:
    return encode_document(kind, name, {"a": 1, "字": "x"}, lambda text: sign(KEY, text))


def test_a_document_is_opened_by_who_knows_the_key() -> None:
    assert open_document("profile+jwt", signed(), PINS) == {"a": 1, "字": "x"}


def b64(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def test_every_other_document_is_refused() -> None:
    head, body, signature = signed().split(".")
    other = {"alg": "ES256", "typ": "profile+jwt", "kid": "one"}
    cases = {
        "document_altered": [
            f"{head}.{b64({'a': 2})}.{signature}",
            f"{head}.{body}.{'A' * 86}",
            f"{head}.{body}.",
            f"{b64(other)}.{body}.{signature}",  # the same header, written otherwise
        ],
        "document_key_unknown": [signed(name="two")],
        "document_malformed": [
            "",
            "a.b",
            "....",
            f"{b64({**other, 'alg': 'none'})}.{body}.",
            f"{b64({**other, 'alg': 'HS256'})}.{body}.{signature}",
            f"{b64({**other, 'crit': ['b64']})}.{body}.{signature}",
            f"{b64([])}.{body}.{signature}",
            signed(kind="deny+jwt"),
            f"{head}.{body}.{signature}==",
            f"{head}.{body}.{signature}\n",
            "a" * (1024 * 1024 + 1),
        ],
    }
    for code, texts in cases.items():
        for text in texts:
            with pytest.raises((CodeRefused, MalformedBytes)) as refused:
                open_document("profile+jwt", text, PINS)
            assert refused.value.code == code, text[:80]


def test_a_key_is_on_p256_with_whole_coordinates() -> None:
    numbers = KEY.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(one.to_bytes(32)).rstrip(b"=").decode()
        for one in (numbers.x, numbers.y)
    )
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    assert point_of_jwk(jwk)[1:33] == numbers.x.to_bytes(32)
    for wrong in ({"crv": "P-384"}, {"kty": "RSA"}, {"x": x[:-2]}, {"y": "!"}, {"y": None}):
        with pytest.raises(MalformedBytes):
            point_of_jwk({**jwk, **wrong})
