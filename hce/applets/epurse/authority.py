"""GET CHALLENGE, the two AUTHENTICATE commands, and blocking; the issuer's side of a purse."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from card_protocol.epurse.suites import CHALLENGE_SIZES, challenge_as_block, mac_is
from card_protocol.status import StatusWord
from hce.applets.epurse.context import Context, Refused, Step, done, tries_left
from hce.applets.epurse.secured import secured_data
from hce.applets.epurse.state import KeyKind, Life, PurseKey, PurseState

P2_LIFE: Final = {0x00: Life.BLOCKED, 0x01: Life.LOCKED}


def get_challenge(context: Context) -> Step:
    """00 84: 4, 8 or 16 random bytes, good for one command of this selection."""
    context.require_header(0, 0)
    context.require_length(0)
    le = context.command.le
    if le not in CHALLENGE_SIZES:
        raise Refused(StatusWord.WRONG_LENGTH)
    challenge = context.random_bytes(le)
    return done(context, challenge, session=replace(context.session, challenge=challenge))


def internal_authenticate(context: Context) -> Step:
    """00 88 00 kid: one block enciphered under an INTERNAL key."""
    key = _get_key(context, KeyKind.INTERNAL)
    block = context.require_length(key.suite.block_bytes)
    return done(context, key.suite.encrypt_block(key.value, block))


def external_authenticate(context: Context) -> Step:
    """00 82 00 kid: the challenge enciphered under an EXTERNAL key; opens plain updates."""
    key = _get_key(context, KeyKind.EXTERNAL)
    told, state = context.require_length(key.suite.block_bytes), context.state
    if context.session.challenge is None:
        raise Refused(StatusWord.CONDITIONS_NOT_MET)
    if state.is_key_dead(key):
        raise Refused(StatusWord.PIN_BLOCKED)
    block = challenge_as_block(context.session.challenge, key.suite.block_bytes)
    if not mac_is(told, key.suite.encrypt_block(key.value, block)):
        tries_max = state.rules.tries_max(key.kind)
        raise Refused(tries_left(key.failures + 1, tries_max), state.with_failure(key))
    session = replace(context.session, is_update_open=True)
    return done(context, state=state.with_success(key), session=session)


def block(context: Context) -> Step:
    """84 1E 00 P2: 00 until the issuer unblocks, 01 for ever."""
    if context.command.p1 or context.command.p2 not in P2_LIFE:
        raise Refused(StatusWord.WRONG_P1_P2)
    state = _ordered(context)
    life = P2_LIFE[context.command.p2]
    if state.life is life:
        raise Refused(StatusWord.CONDITIONS_NOT_MET, state)
    return done(context, state=replace(state, life=life))


def unblock(context: Context) -> Step:
    """84 18 00 00: only what is blocked."""
    context.require_header(0, 0)
    state = _ordered(context)
    if state.life is not Life.BLOCKED:
        raise Refused(StatusWord.CONDITIONS_NOT_MET, state)
    return done(context, state=state.unblocked())


def block_card(context: Context) -> Step:
    """84 16 00 00: this application answers 6A81 for ever."""
    context.require_header(0, 0)
    return done(context, state=replace(_ordered(context), life=Life.CARD_BLOCKED))


def _ordered(context: Context) -> PurseState:
    """The state after an order of the issuer that carries nothing but its MAC."""
    granted = secured_data(context, KeyKind.MAINTENANCE)
    if granted.data:
        raise Refused(StatusWord.WRONG_LENGTH, granted.state)
    return granted.state


def _get_key(context: Context, kind: KeyKind) -> PurseKey:
    context.require_p1(0)
    key = context.state.find_key(kind, context.command.p2)
    if key is None:
        raise Refused(StatusWord.KEY_INDEX_NOT_SUPPORTED)
    return key
