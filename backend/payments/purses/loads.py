"""Loads (圈存): money onto a chip, in two messages; what is not written comes back, never both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from backend.cards import PurseAtMoment, PurseMacs, Purses, PurseUnknown
from backend.db import Decide, Operation, Rows, Units, Which
from backend.kernel import ANY_AMOUNT, AmountRange, DomainError, business_date
from backend.merchants import Merchants, TerminalFacts
from backend.payments import admission, records
from backend.payments.model import Method, Payer, Sell, Tap
from backend.payments.purses import book, tables
from backend.payments.purses.model import (
    BeginLoad,
    Cash,
    Evidence,
    LoadExists,
    LoadingAgentOnly,
    LoadMacInvalid,
    LoadNotProved,
    LoadTacInvalid,
    LoadUnknown,
    LoadView,
    ToldBy,
    moment_text,
)
from backend.payments.purses.settling import CONTRADICTED, Settling, key_of, load_of, view_of
from backend.payments.purses.states import LoadState, LoadStateConflict
from backend.wallet import (
    AccountClosed,
    AccountFrozen,
    Channel,
    InsufficientFunds,
    Ledger,
    LimitExceeded,
    channel_id,
    check_ceiling,
    epurse_float_account,
    load_transfer,
    load_transit_account,
)

CASH_ID = channel_id(Channel.COUNTER_CASH)
WALLET_REFUSALS = (InsufficientFunds, LimitExceeded, AccountFrozen, AccountClosed)
LoadAgents = frozenset[str]
"""Merchants whose terminals take cash for loads."""


class Verify(Protocol):
    """Who pays by a tap or a pay code, as for a sale."""

    def __call__(self, command: Sell, facts: TerminalFacts, *, is_dry_run: bool) -> Payer: ...


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found out before the transaction."""

    found: PurseAtMoment
    payer: Payer | None  # None: cash
    source_id: str
    transaction_time: str
    mac2: bytes


@dataclass(frozen=True, slots=True)
class Loads:
    """Each method is one command of a terminal, or a question."""

    units: Units
    ledger: Ledger
    merchants: Merchants
    purses: Purses
    macs: PurseMacs
    verify: Verify
    agents: LoadAgents = frozenset()
    amounts: AmountRange = ANY_AMOUNT
    settling: Settling = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settling", Settling(self.ledger))

    def begin(self, command: BeginLoad, operation: Operation) -> LoadView:
        """Take the money, and give the chip the issuer's word for it (MAC2).

        Raises PurseUnknown, PurseNotActive, PurseMismatch, PurseKeyUnknown, LoadMacInvalid,
        LoadingAgentOnly, LoadExists, LoadNotProved, what proofs and wallets refuse, and
        CeilingExceeded for what the purse would hold.
        """
        facts = self.merchants.vouch_for_terminal(command.terminal_id)
        checked = _attempt(lambda: self._check(command, facts, is_dry_run=operation.is_dry_run))

        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_load, command.load_id)
            if isinstance(checked, DomainError):
                return False
            return self._need(rows, command, checked)

        def decide(rows: Rows) -> LoadView | DomainError:
            known = rows.find(tables.purse_load, command.load_id)
            if known is not None:
                return _same(known, command)
            if isinstance(checked, DomainError):
                raise checked
            self.amounts.check(command.amount_fen)
            if refusal := self._settle_last(rows, command):
                return refusal
            return self._begin(rows, command, checked)

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)

    def written(self, terminal_id: str, load_id: str, tac: bytes, operation: Operation) -> LoadView:
        """The chip has it: its TAC says so.

        Raises LoadUnknown, LoadTacInvalid, LoadStateConflict (it was returned; that is told).
        """
        row = self._get_own(terminal_id, load_id)
        new_balance_fen = row["old_balance_fen"] + row["amount_fen"]
        is_genuine = self.macs.is_load_written(
            key_of(row), load_of(row), new_balance_fen, row["load_counter"], tac
        )

        def decide(rows: Rows) -> LoadView | DomainError:
            if not is_genuine:
                raise LoadTacInvalid
            known = rows.find(tables.purse_load, load_id)
            assert known is not None
            state = LoadState(known["state"])
            if state is LoadState.RETURNED:
                self.settling.contradict(rows, known)
                return LoadStateConflict(state=state.value)
            if state is LoadState.WRITTEN:
                return view_of(known)
            return self.settling.write(rows, known, ToldBy.TAC)

        return self._decide_about(row, decide, operation)

    def returned(
        self, terminal_id: str, load_id: str, evidence: Evidence, operation: Operation
    ) -> LoadView:
        """What did the chip do? A later INITIALIZE of it tells: counter unchanged, the money
        comes back; counter moved on, the load is written after all.

        Raises LoadUnknown, LoadMacInvalid, LoadNotProved.
        """
        row = self._get_own(terminal_id, load_id)
        proved = _attempt(lambda: self._check_evidence(row, evidence))

        def decide(rows: Rows) -> LoadView:
            if isinstance(proved, DomainError):
                raise proved
            known = rows.find(tables.purse_load, load_id)
            assert known is not None
            if known["state"] != LoadState.BEGUN.value:
                return view_of(known)
            return self.settling.by_counter(rows, known, evidence.init.load_counter)

        return self._decide_about(row, decide, operation)

    def get(self, terminal_id: str, load_id: str) -> LoadView:
        """Raises LoadUnknown."""
        return view_of(self._get_own(terminal_id, load_id))

    # --- inside -----------------------------------------------------------------------------------

    def _check(self, command: BeginLoad, facts: TerminalFacts, *, is_dry_run: bool) -> _Checked:
        """The card first, then who pays: no proof is looked at for a card that is none."""
        found = self.purses.find_all((command.purse_number,)).get(command.purse_number)
        if found is None:
            raise PurseUnknown
        found.purse.check_active()
        found.purse.check_key(command.key)
        init = command.init
        if not self.macs.is_load_asked(
            command.key, command.load(), init.seed, init.old_balance_fen, init.mac1
        ):
            raise LoadMacInvalid
        payer = self._payer(command, facts, is_dry_run=is_dry_run)
        source_id = CASH_ID if payer is None else payer.wallet_id
        told = moment_text(self.units.clock.now())
        mac2 = self.macs.load_mac2(command.key, command.load(bytes.fromhex(told)), init.seed)
        return _Checked(found, payer, source_id, told, mac2)

    def _payer(self, command: BeginLoad, facts: TerminalFacts, *, is_dry_run: bool) -> Payer | None:
        if isinstance(command.source, Cash):
            if facts.merchant_id not in self.agents:
                raise LoadingAgentOnly
            return None
        sale = Sell(
            command.terminal_id, command.load_id, 0, command.amount_fen, True, command.source
        )
        return self.verify(sale, facts, is_dry_run=is_dry_run)

    def _need(self, rows: Rows, command: BeginLoad, checked: _Checked) -> bool:
        number = command.purse_number
        is_first = not rows.is_known(tables.purse_book, number)
        book.want(rows, number)
        self.ledger.need(
            rows,
            (
                checked.source_id,
                epurse_float_account(number).account_id,
                load_transit_account(command.load_id).account_id,
            ),
        )
        if checked.payer is not None:
            records.want_unused(rows, checked.payer, _method(command), None)
        return is_first or self.settling.need_open(rows, number)

    def _settle_last(self, rows: Rows, command: BeginLoad) -> DomainError | None:
        """What the chip's counter says about the load before this one, and about all of them.

        Raises LoadNotProved.
        """
        number, counter = command.purse_number, command.init.load_counter
        row = book.find(rows, number)
        if row is None:
            return None
        if row["open_load_id"] is not None:
            last = rows.find(tables.purse_load, row["open_load_id"])
            assert last is not None
            self.settling.by_counter(rows, last, counter)
        elif row["load_counter"] is not None and counter > row["load_counter"]:
            # A load was written that nobody here knows of, or one that was returned.
            rows.tell(CONTRADICTED, purse_number=number, load_counter=counter)
            return LoadNotProved()
        elif row["load_counter"] is not None and counter < row["load_counter"]:
            raise LoadNotProved
        return None

    def _begin(self, rows: Rows, command: BeginLoad, checked: _Checked) -> LoadView | DomainError:
        self._check_ceiling(rows, command, checked)
        if checked.payer is not None:
            admission.check_proof_unused(rows, checked.payer, _method(command))
        mark = rows.mark()
        self.ledger.open_account(rows, load_transit_account(command.load_id))
        transfer = load_transfer(command.load_id, checked.source_id, command.amount_fen)
        try:
            self.ledger.post(rows, transfer)
        except WALLET_REFUSALS as refusal:
            rows.undo(mark)
            self._use_up(rows, command, checked)
            return refusal
        self._use_up(rows, command, checked)
        row = _row(rows, command, checked)
        rows.add(tables.purse_load, row)
        init, number = command.init, command.purse_number
        book.see_chip(
            rows,
            self.ledger,
            number,
            init.old_balance_fen,
            rows.now,
            load_counter=init.load_counter,
        )
        book.set_open_load(rows, number, command.load_id)
        return view_of(row)

    def _use_up(self, rows: Rows, command: BeginLoad, checked: _Checked) -> None:
        if checked.payer is not None:
            records.add_proof_use(rows, checked.payer, _method(command), command.load_id)

    def _check_ceiling(self, rows: Rows, command: BeginLoad, checked: _Checked) -> None:
        """What a registered or unregistered card may hold. Raises CeilingExceeded."""
        kind = "unregistered" if checked.found.purse.wallet_id is None else "registered"
        limit = self.ledger.limits.ceiling(kind, business_date(rows.now))
        if limit is not None:
            old_fen = command.init.old_balance_fen
            check_ceiling(limit, old_fen, old_fen + command.amount_fen)

    def _check_evidence(self, row: Mapping[str, Any], evidence: Evidence) -> None:
        """Raises PurseMismatch, PurseKeyUnknown, LoadMacInvalid."""
        init, key = evidence.init, key_of(row)
        if (init.suite, init.key_version) != (key.suite, key.key_version):
            raise LoadMacInvalid
        asked = load_of(row, amount_fen=evidence.amount_fen, sam_number=evidence.sam_number)
        if not self.macs.is_load_asked(key, asked, init.seed, init.old_balance_fen, init.mac1):
            raise LoadMacInvalid

    def _get_own(self, terminal_id: str, load_id: str) -> Mapping[str, Any]:
        with self.units.read(Which.LEDGER) as work:
            row = work.rows.find(tables.purse_load, load_id)
        if row is None or row["terminal_id"] != terminal_id:
            raise LoadUnknown
        return row

    def _decide_about(
        self,
        row: Mapping[str, Any],
        decide: Callable[[Rows], LoadView | DomainError],
        operation: Operation,
    ) -> LoadView:
        def needs(rows: Rows) -> bool:
            rows.want(tables.purse_load, row["load_id"])
            book.want(rows, row["purse_number"])
            self.settling.need(rows, row)
            return False

        return self.units.decide(Which.LEDGER, Decide(needs, decide), operation)


def _method(command: BeginLoad) -> Method:
    return Method.TAP if isinstance(command.source, Tap) else Method.PAY_CODE


def _row(rows: Rows, command: BeginLoad, checked: _Checked) -> dict[str, Any]:
    init = command.init
    return {
        "load_id": command.load_id,
        "purse_number": command.purse_number,
        "issuer_id": command.issuer_id,
        "suite": init.suite,
        "key_version": init.key_version,
        "terminal_id": command.terminal_id,
        "sam_number": command.sam_number.hex(),
        "amount_fen": command.amount_fen,
        "source": "cash" if checked.payer is None else "wallet",
        "source_id": checked.source_id,
        "old_balance_fen": init.old_balance_fen,
        "load_counter": init.load_counter,
        "random": init.random,
        "mac2": checked.mac2,
        "transaction_time": checked.transaction_time,
        "state": LoadState.BEGUN.value,
        "told_by": None,
        "is_contradicted": False,
        "begun_at": rows.now,
        "decided_at": None,
        "decided_by": None,
        "note": None,
    }


def _same(row: Mapping[str, Any], command: BeginLoad) -> LoadView:
    """The first answer. Raises LoadExists."""
    init = command.init
    asked = {
        "terminal_id": command.terminal_id,
        "purse_number": command.purse_number,
        "amount_fen": command.amount_fen,
        "sam_number": command.sam_number.hex(),
        "load_counter": init.load_counter,
        "random": init.random,
    }
    if any(row[name] != value for name, value in asked.items()):
        raise LoadExists
    return view_of(row)


def _attempt(ask: Callable[[], Any]) -> Any:
    """Ask before the transaction; a refusal waits until the load's id was looked up."""
    try:
        return ask()
    except DomainError as refusal:
        return refusal
