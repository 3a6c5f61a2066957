"""INITIALIZE, CREDIT, DEBIT, UPDATE CAPP DATA CACHE, GET TRANSACTION PROVE, GET BALANCE.

DEBIT and CREDIT change balance, counter, log, records and proof in one state: there is no state
with only some of it. INITIALIZE changes nothing that lasts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from card_protocol.epurse.capp import CappHead
from card_protocol.epurse.commands import (
    P1_PURCHASE,
    P2_PURSE,
    Credit,
    Debit,
    DebitAnswer,
    Initialise,
    InitialiseLoadAnswer,
    InitialisePurchaseAnswer,
    Prove,
    ProveAnswer,
    UpdateCache,
    load_proof_mac,
)
from card_protocol.epurse.files import (
    LOG_SEQUENCE_IS_AFTER,
    SFI_CAPP,
    SFI_JOURNEYS,
    SFI_LOG,
    SFI_TRANSIT,
    LogRecord,
)
from card_protocol.epurse.suites import mac_is
from card_protocol.epurse.transactions import (
    COUNTER_MAX,
    RANDOM_BYTES,
    Load,
    Purchase,
    TransactionKind,
    load_session_key,
    purchase_session_key,
)
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from hce.applets.epurse.context import Context, Refused, Step, done
from hce.applets.epurse.purse_files import CyclicFile, VariableFile
from hce.applets.epurse.session import CACHE_MAX, Transaction
from hce.applets.epurse.state import KeyKind, LastProof, PurseKey, PurseState

P2_DEPOSIT: Final = 0x01  # 电子存折 (ED), which the purse is not
P1_DEPOSIT_ONLY: Final = frozenset({0x02, 0x04, 0x05})  # cash, overdraft, unload
P1_UNLOAD: Final = 0x03  # of DEBIT
CACHE_SFIS: Final = frozenset({SFI_CAPP, SFI_TRANSIT, SFI_JOURNEYS})
BALANCE_P1: Final = frozenset({0x00, 0x03, 0x05})  # 05: seen in Guangzhou
OVERDRAFT_P1: Final = frozenset({0x01, 0x02})
# UNSURE which word the standard has for a balance above the ceiling.
BALANCE_TOO_HIGH: Final = StatusWord.CONDITIONS_NOT_MET


def initialise(context: Context) -> Step:
    """80 50: 9403 key, 6982 PIN, 9402 counter, 9401 balance; then waits for CREDIT or DEBIT."""
    kind = _kind(context)
    request = Initialise.decode(kind, context.require_length(Initialise.DATA_BYTES))
    state, is_load = context.state, kind is TransactionKind.LOAD
    key = _get_key(state, request)
    if is_load and state.rules.load_needs_pin and not context.session.is_pin_verified:
        raise Refused(StatusWord.SECURITY_STATUS_NOT_MET)
    if (state.online_atc if is_load else state.offline_atc) == COUNTER_MAX:
        raise Refused(StatusWord.COUNTER_AT_MAXIMUM)
    if is_load and state.balance_fen + request.amount_fen > state.rules.balance_max_fen:
        raise Refused(BALANCE_TOO_HIGH)
    if not is_load and request.amount_fen > state.balance_fen:
        raise Refused(StatusWord.INSUFFICIENT_BALANCE)
    random = context.random_bytes(RANDOM_BYTES)
    if is_load:
        answer = _load_offer(state, key, request, random)
    else:
        answer = _purchase_offer(state, key, random)
    session = replace(context.session, transaction=Transaction(request, random))
    return done(context, answer, session=session)


def credit(context: Context) -> Step:
    """80 52: 6901 without INITIALIZE FOR LOAD, 9302 wrong MAC2; the answer is the TAC."""
    context.require_header(0, 0)
    command = Credit.decode(context.require_length(Credit.DATA_BYTES))
    transaction = _get_transaction(context, {TransactionKind.LOAD})
    state, request = context.state, transaction.request
    key = _get_key(state, request)
    load = Load(request.amount_fen, request.terminal, command.moment)
    session_key = load_session_key(key.suite, key.value, transaction.random, state.online_atc)
    if not mac_is(command.mac2, load.mac2(key.suite, session_key)):
        raise Refused(StatusWord.MAC_INVALID, state.with_failure(key))
    balance_fen, atc_after = state.balance_fen + request.amount_fen, state.online_atc + 1
    tac = load.tac(key.suite, _tac_key(state, key), balance_fen, state.online_atc)
    changed = replace(
        _logged(state.with_success(key), request, command.moment, state.online_atc),
        balance_fen=balance_fen,
        online_atc=atc_after,
        last=LastProof(request.kind, atc_after, load_proof_mac(command.mac2), tac),
    )
    return done(context, tac, state=changed)


def debit(context: Context) -> Step:
    """80 54: 6901 without INITIALIZE, 9302 wrong MAC1, 9407 a record is locked; TAC and MAC2."""
    if context.command.p1 == P1_UNLOAD:
        raise Refused(StatusWord.FUNCTION_NOT_SUPPORTED)
    context.require_header(P1_PURCHASE, 0)
    command = Debit.decode(context.require_length(Debit.DATA_BYTES))
    kinds = {TransactionKind.PURCHASE, TransactionKind.COMPOUND_PURCHASE}
    transaction = _get_transaction(context, kinds)
    state, request = context.state, transaction.request
    key = _get_key(state, request)
    purchase = Purchase(
        request.amount_fen, request.terminal, command.terminal_serial, command.moment, request.kind
    )
    session_key = purchase_session_key(
        key.suite, key.value, transaction.random, state.offline_atc, command.terminal_serial
    )
    if not mac_is(command.mac1, purchase.mac1(key.suite, session_key)):
        raise Refused(StatusWord.MAC_INVALID, state.with_failure(key))
    written = _with_records(state.with_success(key), transaction.cache)
    mac2 = purchase.mac2(key.suite, session_key)
    tac = purchase.tac(key.suite, _tac_key(state, key))
    changed = replace(
        _logged(written, request, command.moment, state.offline_atc),
        balance_fen=state.balance_fen - request.amount_fen,
        offline_atc=state.offline_atc + 1,
        last=LastProof(request.kind, state.offline_atc + 1, mac2, tac),
    )
    return done(context, DebitAnswer(tac, mac2).encode(), state=changed)


def update_cache(context: Context) -> Step:
    """80 DC: keeps a record until DEBIT; 6901 outside a compound purchase, 6A84 for a ninth."""
    transaction = _get_transaction(context, {TransactionKind.COMPOUND_PURCHASE})
    command = context.command
    if command.p2 & 0x07:
        raise Refused(StatusWord.WRONG_P1_P2)
    sfi = command.p2 >> 3
    file = context.state.find_file(sfi) if sfi in CACHE_SFIS else None
    if isinstance(file, CyclicFile):
        context.require_p1(0)
        context.require_length(file.record_bytes)
    elif isinstance(file, VariableFile):
        _require_same_head(file, command.p1, command.data)
    else:
        raise Refused(StatusWord.FILE_NOT_FOUND)
    if len(transaction.cache) == CACHE_MAX:
        raise Refused(StatusWord.NO_ROOM)
    write = UpdateCache(sfi, command.p1, command.data)
    session = replace(context.session, transaction=transaction.with_write(write))
    return done(context, session=session)


def prove(context: Context) -> Step:
    """80 5A: 9406 unless kind and counter are the last transaction's."""
    context.require_p1(0)
    atc = int.from_bytes(context.require_length(Prove.DATA_BYTES))
    last = context.state.last
    if last is None or (last.kind, last.atc) != (context.command.p2, atc):
        raise Refused(StatusWord.MAC_NOT_AVAILABLE)
    return done(context, ProveAnswer(last.mac2, last.tac).encode())


def balance(context: Context) -> Step:
    """80 5C: P1 00, 03, 05 the balance; 01, 02 the overdraft, which is nought."""
    if context.command.p2 == P2_DEPOSIT:
        raise Refused(StatusWord.FUNCTION_NOT_SUPPORTED)
    context.require_p2(P2_PURSE)
    context.require_length(0)
    if context.command.p1 in BALANCE_P1:
        return done(context, context.state.balance_fen.to_bytes(4))
    if context.command.p1 in OVERDRAFT_P1:
        return done(context, bytes(4))
    raise Refused(StatusWord.WRONG_P1_P2)


def _kind(context: Context) -> TransactionKind:
    p1, p2 = context.command.p1, context.command.p2
    if p2 == P2_DEPOSIT or p1 in P1_DEPOSIT_ONLY:
        raise Refused(StatusWord.FUNCTION_NOT_SUPPORTED)
    if p2 != P2_PURSE or p1 not in Initialise.KINDS:
        raise Refused(StatusWord.WRONG_P1_P2)
    return Initialise.KINDS[p1]


def _get_key(state: PurseState, request: Initialise) -> PurseKey:
    kind = KeyKind.LOAD if request.kind is TransactionKind.LOAD else KeyKind.PURCHASE
    key = state.find_key(kind, request.key_index)
    if key is None:
        raise Refused(StatusWord.KEY_INDEX_NOT_SUPPORTED)
    return key


def _tac_key(state: PurseState, money_key: PurseKey) -> bytes:
    key = state.find_tac_key(money_key)
    assert key is not None  # `PurseState.require_complete`
    return key.value


def _get_transaction(context: Context, kinds: set[TransactionKind]) -> Transaction:
    transaction = context.session.transaction
    if transaction is None or transaction.request.kind not in kinds:
        raise Refused(StatusWord.COMMAND_NOT_ACCEPTABLE)
    return transaction


def _load_offer(state: PurseState, key: PurseKey, request: Initialise, random: bytes) -> bytes:
    session_key = load_session_key(key.suite, key.value, random, state.online_atc)
    load = Load(request.amount_fen, request.terminal)
    mac1 = load.mac1(key.suite, session_key, state.balance_fen)
    return InitialiseLoadAnswer(
        state.balance_fen, state.online_atc, key.version, key.algorithm, random, mac1
    ).encode()


def _purchase_offer(state: PurseState, key: PurseKey, random: bytes) -> bytes:
    return InitialisePurchaseAnswer(
        state.balance_fen, state.offline_atc, 0, key.version, key.algorithm, random
    ).encode()


def _logged(state: PurseState, request: Initialise, moment: bytes, atc: int) -> PurseState:
    log = state.find_file(SFI_LOG)
    if not isinstance(log, CyclicFile):
        return state  # an issuer may leave the log out
    sequence = atc + 1 if LOG_SEQUENCE_IS_AFTER else atc
    record = LogRecord(sequence, 0, request.amount_fen, request.kind, request.terminal, moment)
    return state.with_file(log.appended(record.encode()))


def _with_records(state: PurseState, cache: tuple[UpdateCache, ...]) -> PurseState:
    """All cached records, or none: Refused 9407 when one of those to be replaced is locked."""
    locked = {
        (file.sfi, CappHead.decode(record).last_id_byte)
        for file in state.files
        if isinstance(file, VariableFile)
        for record in file.records
        if CappHead.decode(record).is_locked
    }
    if any((write.sfi, write.record_id) in locked for write in cache):
        raise Refused(StatusWord.RECORD_LOCKED, state)
    for write in cache:
        file = state.find_file(write.sfi)
        if isinstance(file, CyclicFile):
            state = state.with_file(file.appended(write.record))
        elif isinstance(file, VariableFile):
            number = file.find_number(write.record_id)
            assert number is not None  # found when it was cached; no record ever goes away
            state = state.with_file(file.updated(number, write.record))
    return state


def _require_same_head(file: VariableFile, last_id_byte: int, record: bytes) -> None:
    """A purchase replaces a record by one of the same id and length. Raises Refused."""
    number = file.find_number(last_id_byte)
    if number is None:
        raise Refused(StatusWord.RECORD_NOT_FOUND)
    old = file.records[number - 1]
    if len(record) != len(old):
        raise Refused(StatusWord.WRONG_LENGTH)
    try:
        is_same = CappHead.decode(record).record_id == CappHead.decode(old).record_id
    except MalformedBytes:
        is_same = False
    if not is_same:
        raise Refused(StatusWord.WRONG_DATA)
