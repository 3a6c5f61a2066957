"""The whole rule of the purse: state, session and a command give an answer and the next of both.

Pure but for the random bytes handed in. Which commands there are, which of them leave a
transaction standing, and which a blocked purse still answers, is one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.epurse.files import PublicData, PurseFci
from card_protocol.status import StatusWord
from hce.applet import CLASSES, refuse, refuse_unknown
from hce.applets.epurse import authority, file_commands, holder, money
from hce.applets.epurse.context import Context, RandomBytes, Refused, Step
from hce.applets.epurse.session import FRESH, Session
from hce.applets.epurse.state import Life, PurseState

PURSE_CLASSES: Final = CLASSES | {0x04, 0x84}
DEAD: Final[Mapping[Life, StatusWord]] = MappingProxyType(
    {
        Life.LOCKED: StatusWord.APPLICATION_LOCKED,
        Life.CARD_BLOCKED: StatusWord.FUNCTION_NOT_SUPPORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the table."""

    decide: Callable[[Context], Step]
    keeps_transaction: bool = False  # may stand between INITIALIZE and DEBIT
    moves_money: bool = False  # begins, feeds or ends a transaction itself
    uses_challenge: bool = False  # right or wrong, the random number is spent
    when_blocked: bool = False
    # What a former success had opened is shut before the command is decided.
    renews: Callable[[Session], Session] | None = None


def _read(decide: Callable[[Context], Step]) -> Entry:
    return Entry(decide, keeps_transaction=True, when_blocked=True)


COMMANDS: Final[Mapping[tuple[int, int], Entry]] = MappingProxyType(
    {
        (0x00, 0xB0): _read(file_commands.read_binary),
        (0x00, 0xB2): _read(file_commands.read_record),
        (0x80, 0x5C): _read(money.balance),
        (0x00, 0x84): _read(authority.get_challenge),
        (0x80, 0x50): Entry(money.initialise, moves_money=True),
        (0x80, 0x52): Entry(money.credit, moves_money=True),
        (0x80, 0x54): Entry(money.debit, moves_money=True),
        (0x80, 0xDC): Entry(money.update_cache, moves_money=True),
        (0x80, 0x5A): Entry(money.prove, when_blocked=True),
        (0x00, 0xD6): Entry(file_commands.update_binary),
        (0x04, 0xD6): Entry(file_commands.update_binary, uses_challenge=True),
        (0x00, 0xE2): Entry(file_commands.append_record),
        (0x04, 0xE2): Entry(file_commands.append_record, uses_challenge=True),
        (0x00, 0xDC): Entry(file_commands.update_record),
        (0x04, 0xDC): Entry(file_commands.update_record, uses_challenge=True),
        (0x00, 0x20): Entry(holder.verify, renews=Session.without_pin),
        (0x80, 0x5E): Entry(holder.change_or_reload, renews=Session.without_pin),
        (0x84, 0x24): Entry(holder.unblock, uses_challenge=True),
        (0x00, 0x88): Entry(authority.internal_authenticate),
        (0x00, 0x82): Entry(
            authority.external_authenticate, uses_challenge=True, renews=Session.without_update
        ),
        (0x84, 0x1E): Entry(authority.block, uses_challenge=True, when_blocked=True),
        (0x84, 0x18): Entry(authority.unblock, uses_challenge=True, when_blocked=True),
        (0x84, 0x16): Entry(authority.block_card, uses_challenge=True, when_blocked=True),
    }
)
# INITIALIZE and UPDATE CAPP DATA CACHE leave a transaction behind, when they succeed.
LEAVES_TRANSACTION: Final = frozenset({(0x80, 0x50), (0x80, 0xDC)})


def step(
    state: PurseState, session: Session, command: CommandApdu, random_bytes: RandomBytes
) -> Step:
    """One command. Raises nothing for any command; an exception is a bug."""
    if (sw := DEAD.get(state.life)) is not None:
        return Step(refuse(sw), state, FRESH)
    name = (command.cla, command.ins)
    entry = COMMANDS.get(name)
    if entry is None:
        answer = refuse_unknown(command, PURSE_CLASSES)
        return Step(answer, state, session.without_transaction())
    if not entry.keeps_transaction and not entry.moves_money:
        session = session.without_transaction()
    if state.life is Life.BLOCKED and not entry.when_blocked:
        answer = refuse(StatusWord.CONDITIONS_NOT_MET)
        return Step(answer, state, session.without_transaction())
    if entry.renews is not None:
        session = entry.renews(session)
    try:
        made = entry.decide(Context(state, session, command, random_bytes))
    except Refused as refusal:
        answer = ResponseApdu(b"", refusal.sw)
        after = session if entry.keeps_transaction else session.without_transaction()
        made = Step(answer, refusal.state or state, after)
    else:
        if entry.moves_money and name not in LEAVES_TRANSACTION:
            made = Step(made.answer, made.state, made.session.without_transaction())
    if entry.uses_challenge:
        return Step(made.answer, made.state, made.session.without_challenge())
    return made


def select(state: PurseState) -> ResponseApdu:
    """The FCI: with 9000, or 6283 when blocked; 9303 or 6A81 without, when dead."""
    if (sw := DEAD.get(state.life)) is not None:
        return refuse(sw)
    fci = PurseFci(state.face.aid, PublicData.decode(state.public_body), state.face.version)
    is_blocked = state.life is Life.BLOCKED
    return ResponseApdu(fci.encode(), StatusWord.WARNING_BLOCKED if is_blocked else StatusWord.OK)
