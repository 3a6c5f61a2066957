"""READ and UPDATE BINARY, READ, UPDATE and APPEND RECORD (ISO/IEC 7816-4; design B.1.3, B.1.4).

Everything is free to read. Updates need a MAC under the maintenance key, or EXTERNAL AUTHENTICATE
before. Log and journeys are written by purchases alone.
"""

from __future__ import annotations

from typing import Final

from card_protocol.apdu import SHORT_LE_MAX
from card_protocol.epurse.capp import CappHead
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from hce.applets.epurse.context import Context, Refused, Step, done
from hce.applets.epurse.purse_files import BinaryFile, CyclicFile, PurseFile, VariableFile
from hce.applets.epurse.secured import granted_update
from hce.applets.epurse.state import PurseState

BY_ID, BY_NUMBER, ALL_FROM = 0, 4, 5  # the last three bits of P2
SFI_IN_P1: Final = 0x80


def read_binary(context: Context) -> Step:
    """00 B0: what there is from the offset on. Le may reach beyond the end."""
    context.require_length(0)
    file, offset = _binary(context, context.state)
    room = context.command.le or SHORT_LE_MAX
    return done(context, file.body[offset : offset + room])


def read_record(context: Context) -> Step:
    """00 B2: one record, or (P2 …5) as many whole ones from P1 on as Le has room for."""
    context.require_length(0)
    mode = context.command.p2 & 0x07
    file = _record_file(context, context.state)
    if mode == BY_ID and isinstance(file, VariableFile):
        number = file.find_number(context.command.p1) or 0
    elif mode in {BY_NUMBER, ALL_FROM}:
        number = context.command.p1
    else:
        raise Refused(StatusWord.WRONG_P1_P2)
    if not 1 <= number <= len(file.records):
        raise Refused(StatusWord.RECORD_NOT_FOUND)
    if mode != ALL_FROM:
        return done(context, file.records[number - 1])
    room, answer = context.command.le or SHORT_LE_MAX, file.records[number - 1]
    for record in file.records[number:]:
        if len(answer) + len(record) > room:
            break
        answer += record
    return done(context, answer)


def update_binary(context: Context) -> Step:
    """00 D6 and 04 D6: 6982, 6988 before any word about the file."""
    granted = granted_update(context)
    file, offset = _binary(context, granted.state)
    if not granted.data or offset + len(granted.data) > len(file.body):
        raise Refused(StatusWord.WRONG_LENGTH, granted.state)
    return done(context, state=granted.state.with_file(file.updated(offset, granted.data)))


def append_record(context: Context) -> Step:
    """00 E2 and 04 E2: a further record of compound purchases; 6A84 when there is no room."""
    granted = granted_update(context)
    state = granted.state
    if context.command.p1 or context.command.p2 & 0x07:
        raise Refused(StatusWord.WRONG_P1_P2, state)
    file = _variable(context, state)
    head = _head(granted.data, state)
    if file.find_number(head.last_id_byte) is not None:
        raise Refused(StatusWord.WRONG_DATA, state)
    if not file.has_room_for(granted.data):
        raise Refused(StatusWord.NO_ROOM, state)
    return done(context, state=state.with_file(file.appended(granted.data)))


def update_record(context: Context) -> Step:
    """00 DC and 04 DC, by number or id: the same id and length; this is how a lock is taken off."""
    granted = granted_update(context)
    state, command = granted.state, context.command
    file = _variable(context, state)
    mode = command.p2 & 0x07
    if mode not in {BY_ID, BY_NUMBER}:
        raise Refused(StatusWord.WRONG_P1_P2, state)
    number = command.p1 if mode == BY_NUMBER else file.find_number(command.p1) or 0
    if not 1 <= number <= len(file.records):
        raise Refused(StatusWord.RECORD_NOT_FOUND, state)
    old = file.records[number - 1]
    if len(granted.data) != len(old):
        raise Refused(StatusWord.WRONG_LENGTH, state)
    if _head(granted.data, state).record_id != CappHead.decode(old).record_id:
        raise Refused(StatusWord.WRONG_DATA, state)
    return done(context, state=state.with_file(file.updated(number, granted.data)))


def _binary(context: Context, state: PurseState) -> tuple[BinaryFile, int]:
    """The file of P1 and P2, and the offset inside it. Raises Refused."""
    p1, p2 = context.command.p1, context.command.p2
    if not p1 & SFI_IN_P1:
        sfi, offset = context.session.current_sfi, p1 << 8 | p2
        if sfi is None:
            raise Refused(StatusWord.NO_CURRENT_FILE, state)
    elif p1 & 0x60:
        raise Refused(StatusWord.WRONG_P1_P2, state)
    else:
        sfi, offset = p1 & 0x1F, p2
    file = _file(sfi, state)
    if not isinstance(file, BinaryFile):
        raise Refused(StatusWord.FILE_KIND_WRONG, state)
    if offset >= len(file.body):
        raise Refused(StatusWord.WRONG_OFFSET, state)
    return file, offset


def _file(sfi: int, state: PurseState) -> PurseFile:
    file = state.find_file(sfi)
    if file is None:
        raise Refused(StatusWord.FILE_NOT_FOUND, state)
    return file


def _record_file(context: Context, state: PurseState) -> CyclicFile | VariableFile:
    sfi: int | None = context.command.p2 >> 3
    if sfi == 0:  # the file selected by its id
        sfi = context.session.current_sfi
    if sfi is None:
        raise Refused(StatusWord.NO_CURRENT_FILE, state)
    file = _file(sfi, state)
    if isinstance(file, BinaryFile):
        raise Refused(StatusWord.FILE_KIND_WRONG, state)
    return file


def _variable(context: Context, state: PurseState) -> VariableFile:
    file = _record_file(context, state)
    if not isinstance(file, VariableFile):
        raise Refused(StatusWord.FILE_KIND_WRONG, state)
    return file


def _head(record: bytes, state: PurseState) -> CappHead:
    try:
        return CappHead.decode(record)
    except MalformedBytes:
        raise Refused(StatusWord.WRONG_DATA, state) from None
