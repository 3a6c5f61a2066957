"""Who may change what: command MACs under the card's own keys, each with its tries."""

from __future__ import annotations

from dataclasses import dataclass

from card_protocol.epurse.secured import SECURED_CLASSES, SECURED_DATA_BYTES_MAX, secured_input
from card_protocol.epurse.suites import MAC_BYTES, mac_is
from card_protocol.status import StatusWord
from hce.applets.epurse.context import Context, Refused
from hce.applets.epurse.state import KeyKind, PurseKey, PurseState


@dataclass(frozen=True, slots=True)
class Granted:
    """A command's data without its MAC, and the state with the key's tries back."""

    data: bytes
    state: PurseState


def get_live_key(state: PurseState, kind: KeyKind) -> PurseKey:
    """Raises Refused: no such key, or its tries are spent."""
    key = state.find_first_key(kind)
    if key is None:
        raise Refused(StatusWord.DATA_NOT_FOUND)
    if state.is_key_dead(key):
        raise Refused(StatusWord.PIN_BLOCKED)
    return key


def secured_data(context: Context, kind: KeyKind) -> Granted:
    """Checks the MAC behind the data of a CLA 04 or 84 command under the key of this kind.

    Raises Refused: 6700 no room for a MAC, 6985 without GET CHALLENGE, 6988 wrong MAC (counted),
    6983 the key's tries are spent.
    """
    body = context.command.data
    if not MAC_BYTES <= len(body) <= SECURED_DATA_BYTES_MAX + MAC_BYTES:
        raise Refused(StatusWord.WRONG_LENGTH)
    if context.session.challenge is None:
        raise Refused(StatusWord.CONDITIONS_NOT_MET)
    key = get_live_key(context.state, kind)
    data, told = body[:-MAC_BYTES], body[-MAC_BYTES:]
    covered = secured_input(context.command.header, data)
    if not mac_is(told, key.suite.command_mac(key.value, context.session.challenge, covered)):
        raise Refused(StatusWord.SECURE_MESSAGING_WRONG, context.state.with_failure(key))
    return Granted(data, context.state.with_success(key))


def granted_update(context: Context) -> Granted:
    """Data of an update: with MAC (CLA 04), else after EXTERNAL AUTHENTICATE. Raises Refused."""
    if context.command.cla in SECURED_CLASSES:
        return secured_data(context, KeyKind.MAINTENANCE)
    if not context.session.is_update_open:
        raise Refused(StatusWord.SECURITY_STATUS_NOT_MET)
    return Granted(context.command.data, context.state)
