"""The short way through a Shape: takes what is plainly right, leaves every doubt to marshmallow.

Knows no shape and no rule of a field: each field's own marshmallow code judges its value. What is
saved is the book-keeping around it, errors above all: those are told by the full schema alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields, missing
from marshmallow.decorators import (
    POST_DUMP,
    POST_LOAD,
    PRE_DUMP,
    PRE_LOAD,
    VALIDATES,
    VALIDATES_SCHEMA,
)
from marshmallow.error_store import ErrorStore


class Doubt(Enum):
    """The short way does not lead there: ask the schema itself."""

    DOUBT = "doubt"


DOUBT: Final = Doubt.DOUBT

Load = Callable[[Any], Any]
Dump = Callable[[Any], Any]
Deserialise = Callable[[Any, str, Mapping[str, Any]], Any]
LoadStep = tuple[str, str, Deserialise, Callable[[], Any], Doubt | None]
DumpStep = tuple[str, str, str, type | None, Callable[[Any, str, Any], Any]]

# What a subclass may override, and then knows better than the steps below.
LOAD_METHODS = ("load", "_do_load", "_deserialize", "_call_and_store", "_run_validator")
DUMP_METHODS = ("dump", "_serialize", "get_attribute")


def shortcut_load(schema: Schema) -> Load:
    """`schema.load` for a good body, DOUBT for anything else. May be called by many at once."""
    if not _loads_plainly(schema):
        return lambda _data: DOUBT
    steps = [_load_step(name, one) for name, one in schema.load_fields.items()]
    finish = _finish(schema)

    def load(data: Any) -> Any:
        if type(data) is not dict:
            return DOUBT
        made: dict[str, Any] = {}
        seen = 0
        try:
            for key, attribute, deserialise, absent, null in steps:
                value = data.get(key, missing)
                if value is missing:
                    value = absent()
                else:
                    seen += 1
                    value = null if value is None else deserialise(value, key, data)
                if value is DOUBT:
                    return DOUBT
                if value is not missing:
                    made[attribute] = value
            return finish(made, data) if seen == len(data) else DOUBT  # an unknown field
        except ValidationError:
            return DOUBT

    return load


def shortcut_dump(schema: Schema) -> Dump:
    """`schema.dump` of one object that is a dict or has plain attributes."""
    if not _dumps_plainly(schema):
        return schema.dump
    steps = [_dump_step(name, one) for name, one in schema.dump_fields.items()]

    def dump(found: Any) -> Any:
        is_dict = type(found) is dict
        if not is_dict and hasattr(found, "__getitem__"):
            return schema.dump(found)
        made = {}
        for key, name, attribute, as_it_is, serialise in steps:
            value = found.get(attribute, missing) if is_dict else getattr(found, attribute, missing)
            if value is missing:
                return schema.dump(found)
            made[key] = value if type(value) is as_it_is else serialise(value, name, found)
        return made

    return dump


def _loads_plainly(schema: Schema) -> bool:
    hooks = schema._hooks
    return (
        _is_plain(schema, LOAD_METHODS)
        and schema.unknown == RAISE
        and schema.partial is None
        and not hooks[PRE_LOAD]
        and not hooks[VALIDATES]
        and all(_field_loads_plainly(one) for one in schema.load_fields.values())
        and len({one.data_key or name for name, one in schema.load_fields.items()})
        == len(schema.load_fields)
    )


def _dumps_plainly(schema: Schema) -> bool:
    return (
        _is_plain(schema, DUMP_METHODS)
        and not schema._hooks[PRE_DUMP]
        and not schema._hooks[POST_DUMP]
        and all(_field_dumps_plainly(one) for one in schema.dump_fields.values())
    )


def _is_plain(schema: Schema, methods: tuple[str, ...]) -> bool:
    mine = type(schema)
    as_they_were = all(getattr(mine, name) is getattr(Schema, name) for name in methods)
    return as_they_were and not schema.many and schema.dict_class is dict


def _field_loads_plainly(one: fields.Field[Any]) -> bool:
    mine, base = type(one), fields.Field
    return (
        mine.deserialize is base.deserialize
        and mine._validate is base._validate
        and mine._validate_missing is base._validate_missing
        and not one.pre_load
        and not one.post_load
        and "." not in (one.attribute or one.name or ".")
    )


def _field_dumps_plainly(one: fields.Field[Any]) -> bool:
    mine, base = type(one), fields.Field
    return (
        mine.serialize is base.serialize
        and mine.get_value is base.get_value
        and bool(mine._CHECK_ATTRIBUTE)
        and "." not in (one.attribute or one.name or ".")
    )


def _load_step(name: str, one: fields.Field[Any]) -> LoadStep:
    default = one.load_default
    absent: Callable[[], Any] = default if callable(default) else lambda: default
    return (
        one.data_key if one.data_key is not None else name,
        one.attribute or name,
        _deserialise(one),
        _doubt if one.required else absent,
        None if one.allow_none else DOUBT,
    )


def _doubt() -> Doubt:
    return DOUBT


def _deserialise(one: fields.Field[Any]) -> Deserialise:
    """How a field reads and validates a value that is there and not null."""
    read = _reader(one)
    if not one.validators:
        return read
    validators = tuple(one.validators)

    def read_and_validate(value: Any, key: str, data: Mapping[str, Any]) -> Any:
        found = read(value, key, data)
        if found is not DOUBT:
            for validate in validators:
                validate(found)
        return found

    return read_and_validate


def _reader(one: fields.Field[Any]) -> Deserialise:
    """The field's own reading; a nested shape has a short way of its own."""
    if type(one) is not fields.Nested or one.many or one.unknown is not None:
        return one._deserialize
    inner = shortcut_load(one.schema)
    return lambda value, _key, _data: inner(value)


def _dump_step(name: str, one: fields.Field[Any]) -> DumpStep:
    return (
        one.data_key if one.data_key is not None else name,
        name,
        one.attribute or name,
        _said_as_it_is(one),
        one._serialize,
    )


def _said_as_it_is(one: fields.Field[Any]) -> type | None:
    """The type of value that the field's `_serialize` hands on unchanged; None if none is known."""
    if type(one)._serialize is fields.String._serialize:
        return str
    if not isinstance(one, fields.Integer) or one.as_string:
        return None
    mine, base = type(one), fields.Integer
    is_plain = (mine._serialize, mine._format_num) == (base._serialize, base._format_num)
    return int if is_plain else None


def _finish(schema: Schema) -> Callable[[dict[str, Any], Mapping[str, Any]], Any]:
    """What the schema does with the fields together."""
    if not schema._hooks[VALIDATES_SCHEMA] and not schema._hooks[POST_LOAD]:
        return lambda made, _data: made

    def finish(made: dict[str, Any], data: Mapping[str, Any]) -> Any:
        errors = ErrorStore()
        common: dict[str, Any] = {
            "original_data": data,
            "many": False,
            "partial": None,
            "unknown": schema.unknown,
        }
        for collection in (True, False):
            schema._invoke_schema_validators(
                error_store=errors, pass_collection=collection, data=made, **common
            )
        if errors.errors:
            return DOUBT
        return schema._invoke_load_processors(POST_LOAD, made, **common)

    return finish
