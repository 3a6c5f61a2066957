"""VERIFY, CHANGE, RELOAD and UNBLOCK PIN (JR/T 0025); 0x63Cx counts down and 6983 is the end."""

from __future__ import annotations

from dataclasses import replace

from card_protocol.epurse.commands import PIN_BYTES_MAX, PIN_BYTES_MIN, PIN_SEPARATOR
from card_protocol.epurse.secured import reload_pin_mac
from card_protocol.epurse.suites import MAC_BYTES, mac_is
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from hce.applets.epurse.context import Context, Refused, Step, done, tries_left
from hce.applets.epurse.secured import get_live_key, secured_data
from hce.applets.epurse.state import KeyKind, Pin, PurseState

P1_RELOAD, P1_CHANGE = 0x00, 0x01
P2_TRIES_ONLY, P2_NEW_PIN = 0x00, 0x01


def verify(context: Context) -> Step:
    """00 20 00 00."""
    context.require_header(0, 0)
    if not PIN_BYTES_MIN <= len(context.command.data) <= PIN_BYTES_MAX:
        raise Refused(StatusWord.WRONG_LENGTH)
    state = _with_right_pin(context.state, context.command.data)
    return done(context, state=state, session=replace(context.session, is_pin_verified=True))


def change_or_reload(context: Context) -> Step:
    """80 5E 01 00 (holder, old PIN) and 80 5E 00 00 (issuer, MAC)."""
    if context.command.p1 == P1_CHANGE:
        context.require_header(P1_CHANGE, 0)
        return _change(context)
    context.require_header(P1_RELOAD, 0)
    return _reload(context)


def unblock(context: Context) -> Step:
    """84 24: the tries come back (P2 00); with P2 01 a new PIN too, enciphered under the key."""
    if context.command.p1 or context.command.p2 not in {P2_TRIES_ONLY, P2_NEW_PIN}:
        raise Refused(StatusWord.WRONG_P1_P2)
    granted = secured_data(context, KeyKind.PIN_UNBLOCK)
    state, pin = granted.state, _get_pin(granted.state)
    if context.command.p2 == P2_TRIES_ONLY:
        if granted.data:
            raise Refused(StatusWord.WRONG_LENGTH, state)
        return done(context, state=replace(state, pin=replace(pin, failures=0)))
    key = get_live_key(state, KeyKind.PIN_UNBLOCK)
    try:
        new = Pin(key.suite.decrypt_data(key.value, granted.data))
    except MalformedBytes:
        raise Refused(StatusWord.WRONG_DATA, state) from None
    return done(context, state=replace(state, pin=new))


def _change(context: Context) -> Step:
    old, separator, new = context.command.data.partition(PIN_SEPARATOR)
    if not separator:
        raise Refused(StatusWord.WRONG_DATA)
    state = _with_right_pin(context.state, old)
    try:
        changed = Pin(new)
    except MalformedBytes:
        raise Refused(StatusWord.WRONG_DATA, state) from None
    return done(context, state=replace(state, pin=changed))


def _reload(context: Context) -> Step:
    new, told = context.command.data[:-MAC_BYTES], context.command.data[-MAC_BYTES:]
    if not PIN_BYTES_MIN <= len(new) <= PIN_BYTES_MAX:
        raise Refused(StatusWord.WRONG_LENGTH)
    key = get_live_key(context.state, KeyKind.PIN_RELOAD)
    if not mac_is(told, reload_pin_mac(key.suite, key.value, new)):
        raise Refused(StatusWord.MAC_INVALID, context.state.with_failure(key))
    state = context.state.with_success(key)
    try:
        return done(context, state=replace(state, pin=Pin(new)))
    except MalformedBytes:
        raise Refused(StatusWord.WRONG_DATA, state) from None


def _get_pin(state: PurseState) -> Pin:
    if state.pin is None:
        raise Refused(StatusWord.DATA_NOT_FOUND, state)
    return state.pin


def _with_right_pin(state: PurseState, told: bytes) -> PurseState:
    """All tries back. Raises Refused with one try less, or 6983 without looking."""
    pin, tries_max = _get_pin(state), state.rules.pin_tries_max
    if pin.failures >= tries_max:
        raise Refused(StatusWord.PIN_BLOCKED)
    if not pin.is_value(told):
        worse = replace(pin, failures=pin.failures + 1)
        raise Refused(tries_left(worse.failures, tries_max), replace(state, pin=worse))
    return replace(state, pin=replace(pin, failures=0)) if pin.failures else state
