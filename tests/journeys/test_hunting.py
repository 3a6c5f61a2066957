"""The hunt for secrets knows the forms that real encoders write."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.journeys.hunting import Quarry, digits, hunt, key, text

KEY = bytes(range(200, 232))
NUMBER = "13947205861"
IDENTITY = "99990119880412024X"
CODE = "482913"
NAME = "周致远"


def base64_at(before: int, value: bytes, encode: Callable[[bytes], bytes]) -> bytes:
    return encode(b"#" * before + value + b"?!")


@pytest.mark.parametrize(
    ("quarry", "content"),
    [
        (key("key", KEY), b"..." + KEY + b"..."),
        (key("key", KEY), KEY[::-1]),
        (key("key", KEY), json.dumps({"key": KEY.hex()}).encode()),
        (key("key", KEY), KEY.hex().upper().encode()),
        *(
            (key("key", KEY), base64_at(before, KEY, encode))
            for before in range(5)
            for encode in (base64.b64encode, base64.urlsafe_b64encode)
        ),
        (digits("number", NUMBER), b"phone=" + NUMBER.encode()),
        (digits("number", NUMBER), bytes.fromhex(NUMBER + "f")),
        (digits("number", NUMBER), bytes.fromhex("f" + NUMBER)),
        (digits("number", NUMBER), NUMBER.encode("utf-16")),
        (digits("number", NUMBER), NUMBER.encode().hex().encode()),
        (digits("identity", IDENTITY), b"\x00" + IDENTITY.encode() + b"\x01"),
        (digits("identity", IDENTITY), bytes.fromhex("0" + IDENTITY[:17])),
        (digits("code", CODE), f"your code is {CODE}.".encode()),
        (digits("code", CODE), base64_at(1, CODE.encode(), base64.b64encode)),
        (digits("code", CODE), CODE.encode("utf-16-be")),
        (text("name", NAME), f"{NAME}您好".encode()),
        (text("name", NAME), NAME.encode("gb18030")),
        (text("name", NAME), json.dumps({"name": NAME}).encode()),
    ],
)
def test_what_encoders_write_is_found(quarry: Quarry, content: bytes) -> None:
    found = hunt([quarry], {"place": content})
    assert found
    assert all(one.startswith(f"{quarry.name} (") and one.endswith("in place") for one in found)


@pytest.mark.parametrize(
    "content",
    [b"", f"1{CODE}".encode(), f"{CODE}7".encode(), f"12:00:01.{CODE}+00".encode(), KEY, b"48291"],
)
def test_a_short_code_is_not_found_by_chance(content: bytes) -> None:
    assert hunt([digits("code", CODE)], {"place": content}) == []


def test_a_finding_tells_nothing() -> None:
    quarry = digits("code", CODE)
    assert CODE not in repr(quarry) + str(hunt([quarry], {"place": CODE.encode()}))
