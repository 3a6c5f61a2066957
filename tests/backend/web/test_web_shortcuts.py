"""Goal: the short way through a shape never says anything that marshmallow would not say."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields, post_dump, pre_load, validate
from marshmallow.validate import Equal, Length, OneOf, Range, Regexp

import backend.app  # noqa: F401 - brings every shape of both networks along
from backend.keys import key_to_jwk, point_to_jwk
from backend.web import B64u, EcKey, EmptyShape, Fen, Moment, Shape, Sm2Key, TypeIdField
from backend.web.shortcuts import DOUBT, shortcut_dump, shortcut_load
from card_protocol import sm2
from card_protocol.signatures import Suite

JWK = key_to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
SM2_JWK = point_to_jwk(sm2.uncompressed(sm2.PrivateKey.generate().public_key), Suite.SM4_SM2)
NOW = datetime(2026, 11, 23, 2, 0, 0, 123456, tzinfo=UTC)
JUNK = st.sampled_from(
    [None, True, False, 0, -1, 1.0, 1.5, 2**31, 2**64, "", "x", "５", "x" * 600, [], {}, [[]], b"x"]
)


def shapes() -> Iterator[type[Shape]]:
    pending: list[type[Shape]] = list(Shape.__subclasses__())
    while pending:
        one = pending.pop()
        pending.extend(one.__subclasses__())
        if one.__module__.startswith("backend."):
            yield one


SHAPES = sorted(set(shapes()), key=lambda one: f"{one.__module__}.{one.__name__}")
BY_NAME = pytest.mark.parametrize("shape", SHAPES, ids=lambda one: one.__name__)


def _text(one: fields.Field[Any]) -> st.SearchStrategy[Any]:
    for check in one.validators:
        match check:
            case OneOf():
                return st.sampled_from(list(check.choices))
            case Equal():
                return st.just(check.comparable)
            case Regexp():
                return st.from_regex(check.regex)
            case Length():
                return st.text(min_size=check.min or 0, max_size=min(check.max or 20, 20))
    return st.text(max_size=20)


def _number(one: fields.Field[Any]) -> st.SearchStrategy[int]:
    for check in one.validators:
        if isinstance(check, Range):
            return st.integers(check.min, check.max)
    return st.integers(-(2**63), 2**63 - 1)


def _fitting(one: fields.Field[Any]) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - a table
    """JSON that the field is likely to accept."""
    match one:
        case TypeIdField():
            suffix = st.from_regex(r"\A[0-7][0-9a-hjkmnp-tv-z]{25}\Z")
            return suffix.map(lambda text: f"{one.prefix}_{text}")
        case B64u():
            return st.binary(max_size=40).map(
                lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            )
        case fields.Nested():
            return bodies(one.schema)
        case fields.List():
            return st.lists(_fitting(one.inner), max_size=2)
        case fields.Enum():
            return st.sampled_from([member.value for member in one.enum])
        case fields.Boolean():
            return st.booleans()
        case fields.Integer():
            return _number(one)
        case EcKey():
            return st.just(JWK)
        case Sm2Key():
            return st.just(SM2_JWK)
        case Moment():
            return st.just("2026-11-23T10:00:00+08:00")
        case fields.Date():
            return st.just("2026-11-23")
    return _text(one)


@st.composite
def bodies(draw: st.DrawFn, schema: Schema) -> Any:
    """Mostly good; each member may be junk or absent, and a stranger may be among them."""
    body = {}
    spoiled = draw(st.integers(0, 3)) == 0
    for name, one in schema.load_fields.items():
        optional = not one.required and draw(st.booleans())
        if optional or (spoiled and draw(st.integers(0, 3)) == 0):
            continue
        junk = spoiled and draw(st.integers(0, 2)) == 0
        body[one.data_key or name] = draw(JUNK if junk else _fitting(one))
    if spoiled and draw(st.integers(0, 3)) == 0:
        body["stranger"] = draw(JUNK)
    return body


def _by_marshmallow(schema: Schema, body: Any) -> Any:
    try:
        return schema.load(body)
    except ValidationError:
        return DOUBT


def _is_left_to_marshmallow(schema: Schema) -> bool:
    """Shapes of answers and of forms; a command's body is never one of them."""
    dotted = any("." in (one.attribute or "") for one in schema.load_fields.values())
    return dotted or schema.unknown != "raise"


@BY_NAME
@settings(max_examples=15)
@given(data=st.data())
def test_a_body_is_read_as_marshmallow_reads_it(shape: type[Shape], data: st.DataObject) -> None:
    """Accepted by both with one meaning, or left to marshmallow."""
    body = data.draw(bodies(shape()) | JUNK)
    found = shortcut_load(shape())(body)
    expected = _by_marshmallow(shape(), body)
    if _is_left_to_marshmallow(shape()):
        assert found is DOUBT
        return
    assert type(found) is type(expected)
    assert found == expected
    if isinstance(found, dict):
        assert [(name, type(value)) for name, value in found.items()] == [
            (name, type(value)) for name, value in expected.items()
        ]


VALUES = JUNK | st.sampled_from([NOW, date(2026, 11, 23), "澄江湾", 7, b"\x00\xff", JWK])


def _sayable(one: fields.Field[Any]) -> st.SearchStrategy[Any]:
    if isinstance(one, fields.Enum):
        return st.sampled_from(list(one.enum)) | VALUES
    if isinstance(one, fields.Nested):
        return said(one.schema) | st.none()
    if isinstance(one, fields.List):
        return st.lists(_sayable(one.inner), max_size=2)
    if isinstance(one, EcKey | Sm2Key):
        return st.none()
    return VALUES


@st.composite
def said(draw: st.DrawFn, schema: Schema) -> Any:
    """Something to dump: a dict or an object, perhaps with a member missing."""
    members = {}
    for name, one in schema.dump_fields.items():
        if draw(st.integers(0, 9)):
            members[one.attribute or name] = draw(_sayable(one))
    return members if draw(st.booleans()) else SimpleNamespace(**members)


def _outcome(dump: Any, found: Any) -> Any:
    try:
        return dump(found)
    except Exception as error:  # junk may fit no field: then both must fail alike
        return type(error)


@BY_NAME
@settings(max_examples=15)
@given(data=st.data())
def test_an_answer_is_said_as_marshmallow_says_it(shape: type[Shape], data: st.DataObject) -> None:
    found = data.draw(said(shape()) | st.none())
    mine, theirs = _outcome(shortcut_dump(shape()), found), _outcome(shape().dump, found)
    assert mine == theirs
    if isinstance(mine, dict):
        assert list(mine) == list(theirs)
        assert [type(value) for value in mine.values()] == [type(one) for one in theirs.values()]


class Inner(Shape):
    a = fields.Integer(required=True)


class Upper(fields.String):
    def deserialize(self, value: Any, *rest: Any, **more: Any) -> Any:
        return str(super().deserialize(value, *rest, **more)).upper()


class Prepared(Shape):
    a = fields.String()

    @pre_load
    def _prepare(self, data: Any, **_: Any) -> Any:
        return {name.lower(): value for name, value in data.items()}


class Enveloped(Shape):
    a = fields.String()

    @post_dump
    def _wrap(self, data: Any, **_: Any) -> Any:
        return {"data": data}


class Odd(Shape):
    """What the shapes of today do not use."""

    renamed = fields.Integer(data_key="from", attribute="renamed_to", validate=validate.Range(1, 9))
    made = fields.List(fields.Integer(), load_default=list)
    many = fields.Nested(Inner, many=True)
    one = fields.Nested(Inner, allow_none=True)
    deep = fields.String(attribute="x.y")


class Plain(Shape):
    renamed = fields.Integer(data_key="from", attribute="renamed_to", validate=validate.Range(1, 9))
    made = fields.List(fields.Integer(), load_default=list)
    many = fields.Nested(Inner, many=True)
    one = fields.Nested(Inner, allow_none=True)
    amount_fen = Fen(load_default=None)


class Shouting(Shape):
    a = Upper()


class Merciful(Shape):
    a = fields.String()

    class Meta:
        unknown = "exclude"


@pytest.mark.parametrize("shape", [Odd, Prepared, Shouting, Merciful])
def test_a_shape_with_ways_of_its_own_is_left_to_marshmallow(shape: type[Shape]) -> None:
    body = {} if shape is Odd else {"a": "x"}
    assert _by_marshmallow(shape(), body) is not DOUBT
    assert shortcut_load(shape())(body) is DOUBT


def test_a_shape_with_an_envelope_is_said_whole() -> None:
    assert shortcut_dump(Enveloped())({"a": "x"}) == {"data": {"a": "x"}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"from": 5},
        {"from": 10},
        {"renamed": 5},
        {"many": [{"a": 1}, {"a": 2}]},
        {"many": {"a": 1}},
        {"many": [{"a": 1, "b": 2}]},
        {"one": None},
        {"one": {"a": 1}},
        {"one": {}},
        {"amount_fen": None},
        {"amount_fen": 0},
    ],
)
def test_names_defaults_and_nests(body: dict[str, Any]) -> None:
    assert shortcut_load(Plain())(body) == _by_marshmallow(Plain(), body)


def test_a_default_is_made_afresh() -> None:
    load = shortcut_load(Plain())
    load({})["made"].append(1)
    assert load({})["made"] == []


def test_a_shape_without_fields_takes_an_empty_object_only() -> None:
    load = shortcut_load(EmptyShape())
    assert [load(one) for one in ({}, {"a": 1}, [], None)] == [{}, DOUBT, DOUBT, DOUBT]
