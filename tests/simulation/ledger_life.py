"""The life of a ledger, step by step beside its model; and the model reading the journal.

Each step asks both and compares at once. At the end a new model does what the journal says was
done, and must give every answer again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import select

from backend.db import Operation, Which
from backend.kernel import business_date
from backend.kernel.clock import BUSINESS_ZONE
from backend.wallet import HOT_IDS, recipes
from backend.wallet.accounts import ride_debt_id, suspense_id
from backend.wallet.ledger import AccountState, Leg, Transfer, tables
from tests.simulation.books import audit
from tests.simulation.ledger_commands import (
    Broken,
    Capture,
    City,
    Command,
    Hold,
    Move,
    SetState,
    Void,
    ask_model,
    model_of,
    render,
)
from tests.simulation.ledger_model import Answer, Model
from tests.simulation.ledger_recipes import (
    CASES,
    HOLDS,
    LIMITS,
    PAYABLES,
    RECIPES,
    SMALL_FEN,
    WALLETS,
    Pick,
    chart,
    picks,
)

START = datetime(2026, 12, 30, 15, 0, tzinfo=UTC)  # eleven in the evening in Shanghai
MAKES_CITY = Callable[[], City]

HOWS = ("group", "group", "group", "kept", "kept_alone", "dry", "dry_alone", "crash")
STEPS_OF_TIME = (1, 59, 600, 6 * 3600, 24 * 3600, 9 * 24 * 3600)
TTLS = (1, 60, 3600, 24 * 3600, None)
NAMES = st.sampled_from(sorted(RECIPES))
HOW = st.sampled_from(HOWS)
INDEX = st.integers(0, 1_000)
SECONDS = st.sampled_from(STEPS_OF_TIME)
STATE = st.sampled_from([*AccountState, AccountState.OPEN, AccountState.FROZEN])
TTL = st.sampled_from(TTLS)


class LedgerLife(RuleBasedStateMachine):
    """Goal: whatever happens in whatever order, each answer is the model's answer."""

    make: ClassVar[MAKES_CITY]
    is_single: ClassVar[bool] = False  # batches are asked one by one

    def __init__(self) -> None:
        super().__init__()
        self.city = type(self).make()
        self.model = _model()
        self.model.pass_to(START)
        for _, command, answer in self.city.history:
            assert ask_model(self.model, command) == answer
        self.moves: list[Move] = [one for _, one, _ in self.city.history if isinstance(one, Move)]
        self.holds: list[tuple[str, str, Pick]] = []
        self.keys: list[tuple[str, Command]] = []
        self.number, self.agrees = 0, True

    # --- asking both --------------------------------------------------------------------------

    def fresh(self, kind: str) -> str:
        self.number += 1
        return f"{kind}_{self.number}"

    def agree(self, told: Any, expected: Any) -> None:
        self.agrees = told == expected
        assert self.agrees, f"told and expected: {_differing(told, expected)}"

    def ask(self, command: Command, how: str) -> None:
        if isinstance(command, Move):
            self.moves.append(command)
        if how == "group":
            self.agree(self.city.ask(command), ask_model(self.model, command))
        elif how == "crash":
            expected = self.model.would(lambda copy: ask_model(copy, command))
            self.agree(self.city.crash_in(command), expected)
            self.look_at_every_account()
        else:
            key = self.fresh("key")
            self.ask_under(key, command, how)
            if how.startswith("kept"):
                self.keys.append((key, command))

    def ask_under(self, key: str, command: Command, how: str, memo: str = "") -> None:
        content = {"command": repr(command), "memo": memo}
        is_dry = how.startswith("dry")
        expected = self.model.once(
            key, content, lambda model: ask_model(model, command), keep=not is_dry
        )
        operation = Operation("test", key, content, render, is_dry)
        alone = how.endswith("alone")
        self.agree(self.city.ask_once(command, operation, alone=alone), expected)
        if is_dry:
            self.look_at_every_account()

    # --- what happens -------------------------------------------------------------------------

    @rule(name=NAMES, pick=picks(), how=HOW)
    def move(self, name: str, pick: Pick, how: str) -> None:
        self.ask(Move(RECIPES[name](replace(pick, op=self.fresh("op")))), how)

    @rule(pick=picks(SMALL_FEN), how=HOW)
    def pay(self, pick: Pick, how: str) -> None:
        self.move("payment", pick, how)

    @rule(pick=picks(SMALL_FEN), how=HOW)
    def ride_into_the_red(self, pick: Pick, how: str) -> None:
        self.move("payment_into_debt", pick, how)

    @rule(pick=picks(SMALL_FEN), how=HOW)
    def top_up(self, pick: Pick, how: str) -> None:
        self.move("top_up", pick, how)

    @rule(at=INDEX, part=st.integers(1, 3), how=HOW)
    def give_back(self, at: int, part: int, how: str) -> None:
        """Whole or a third, of anything; what comes home knows no ceiling."""
        moved = self.moves[at % len(self.moves)].transfer
        if part == 1 and len(moved.operation_id) < 60:
            # What goes back into a wallet alone can break no law: payments let it pass unchecked.
            is_sale = all(leg.debit in WALLETS and leg.credit in PAYABLES for leg in moved.legs)
            self.ask(Move(recipes.reversal_of(moved), checked=() if is_sale else None), how)
        elif part == 2:
            self.ask(Move(recipes.correction(self.fresh("fix"), moved, "m")), how)
        else:
            leg = moved.legs[0]
            back = Leg(leg.credit, leg.debit, max(1, leg.amount_fen // 3))
            refund = Transfer(self.fresh("ref"), "refund", (back,), moved.operation_id)
            self.ask(Move(refund, with_ceilings=False), how)

    @rule(at=INDEX, how=HOW)
    def ask_again(self, at: int, how: str) -> None:
        self.ask(self.moves[at % len(self.moves)], how)

    @rule(at=INDEX, what=st.integers(0, 5))
    def ask_again_for_something_else(self, at: int, what: int) -> None:
        self.ask(Move(_altered(self.moves[at % len(self.moves)].transfer, what)), "group")

    @precondition(lambda self: self.keys)
    @rule(at=INDEX, memo=st.sampled_from(["", "", "other"]), how=st.sampled_from(HOWS[3:7]))
    def ask_again_under_its_key(self, at: int, memo: str, how: str) -> None:
        key, command = self.keys[at % len(self.keys)]
        self.ask_under(key, command, how, memo)

    @rule(name=st.sampled_from(sorted(HOLDS)), pick=picks(SMALL_FEN), ttl=TTL, how=HOW)
    def hold(self, name: str, pick: Pick, ttl: int | None, how: str) -> None:
        hold_id = self.fresh("hld")
        small = replace(pick, op=hold_id, part_fen=0)
        self.holds.append((hold_id, name, small))
        # Only what leaves a person's account may run out; a top-up waits until the bank has spoken.
        leg = HOLDS[name][0](small)
        ttl_seconds = None if leg.debit.startswith(HOT_IDS) else ttl
        counts = ("spend", *pick.checks) if name == "payment_leg" else ()
        if name == "top_up_leg":
            counts = pick.cash
        self.ask(Hold(hold_id, leg, ttl_seconds, counts), how)

    @precondition(lambda self: any(one[0] in self.model.holds for one in self.holds))
    @rule(at=INDEX, part=st.integers(1, 4), pay=st.sampled_from(PAYABLES), how=HOW)
    def capture(self, at: int, part: int, pay: str, how: str) -> None:
        """The whole or a part; a sale to the merchant's day that is open by now."""
        hold_id, name, pick = self.made(at)
        fen = max(1, pick.fen * part // 4)
        owed_fen = self.model.accounts[ride_debt_id(pick.wal)]["balance_fen"]
        debt_fen = min(owed_fen, fen // 2) if name == "top_up_leg" else 0
        elsewhere = pay if name == "payment_leg" else pick.pay
        posted = HOLDS[name][1](replace(pick, fen=fen, part_fen=debt_fen, pay=elsewhere))
        self.ask(Capture(hold_id, posted), how)

    @precondition(lambda self: any(one[0] in self.model.holds for one in self.holds))
    @rule(at=INDEX, how=HOW)
    def void(self, at: int, how: str) -> None:
        self.ask(Void(self.made(at)[0]), how)

    def made(self, at: int) -> tuple[str, str, Pick]:
        there = [one for one in self.holds if one[0] in self.model.holds]
        return there[at % len(there)]

    @rule(name=st.sampled_from([*WALLETS, suspense_id(CASES[0])]), state=STATE)
    def set_state(self, name: str, state: AccountState) -> None:
        self.ask(SetState(name, state), "group")

    @rule(name=st.sampled_from(WALLETS))
    def open_again(self, name: str) -> None:
        self.ask(SetState(name, AccountState.OPEN), "group")

    @rule(
        wanted=st.lists(
            st.tuples(NAMES, picks(SMALL_FEN), st.integers(0, 9)), min_size=2, max_size=5
        ),
        at=INDEX,
    )
    def batch(self, wanted: list[tuple[str, Pick, int]], at: int) -> None:
        """Good and bad ones together are told what each would be told alone, in this order."""
        commands: list[Command] = []
        for name, pick, kind in wanted:
            move = Move(RECIPES[name](replace(pick, op=self.fresh("op"))))
            again = self.moves[at % len(self.moves)]
            faulty = Broken(move, is_found_by_database=kind == 0)
            commands.append(faulty if kind < 2 else again if kind == 2 else move)
        expected = [ask_model(self.model, one) for one in commands]
        one_by_one = [self.city.ask(one) for one in commands] if self.is_single else None
        self.agree(one_by_one or self.city.ask_many(commands), expected)
        self.look_at_every_account()
        self.moves += [one for one in commands if isinstance(one, Move)]

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.city.clock.advance(timedelta(seconds=seconds))
        self.model.pass_to(self.city.clock.now())

    @rule(seconds=st.integers(0, 1))
    def midnight_comes(self, seconds: int) -> None:
        here = self.city.clock.now().astimezone(BUSINESS_ZONE)
        midnight = here.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        self.city.clock.advance(midnight - here - timedelta(seconds=seconds))
        self.model.pass_to(self.city.clock.now())

    # --- promises -----------------------------------------------------------------------------

    @rule()
    def look_at_every_account(self) -> None:
        self.agree(self.city.accounts(), self.model.told(self.model.accounts))

    def teardown(self) -> None:
        if self.agrees:
            self.look_at_every_account()
        if self.agrees:  # else the first difference is the one to show
            replay(self.city)
            audit(self.city.units)


def _differing(told: Any, expected: Any) -> Any:
    """The smallest part that is not the same."""
    if type(told) is not type(expected) or told == expected:
        return told, expected
    if isinstance(told, dict):
        names = sorted({*told, *expected})
        pairs = {name: (told.get(name), expected.get(name)) for name in names}
        return {name: _differing(*two) for name, two in pairs.items() if two[0] != two[1]}
    if isinstance(told, list | tuple) and len(told) == len(expected) and told and expected:
        both = zip(told, expected, strict=True)
        return [_differing(*two) for two in both if two[0] != two[1]]
    return told, expected


def _altered(transfer: Transfer, what: int) -> Transfer:
    """The same id, and something else under it."""
    leg, rest = transfer.legs[0], transfer.legs[1:]
    legs = [
        (replace(leg, amount_fen=leg.amount_fen % 1_000 + 1), *rest),
        (Leg(leg.credit, leg.debit, leg.amount_fen), *rest),
        (*transfer.legs, leg),
    ]
    if what < len(legs):
        return replace(transfer, legs=legs[what])
    changes: list[dict[str, Any]] = [{"memo": "else"}, {"code": "else"}, {"linked_to": "else"}]
    return replace(transfer, **changes[what - len(legs)])


# --- the model reads the journal --------------------------------------------------------------


def _model() -> Model:
    model = model_of(LIMITS)
    for one in chart():
        model.open(one.account_id, one.side.value, one.account_class, one.floor_fen)
    return model


def replay(city: City) -> None:
    """A new model does what the journal says happened, and must give every answer again."""
    city.write_down()
    journal = Journal(city)
    model = _model()
    for moment, command, answer in city.history:
        model.pass_to(moment)
        assert ask_model(model, journal.command(moment, command, answer)) == answer
    model.pass_to(city.clock.now())
    assert set(journal.postings) == set(model.posted), "posted, and nobody was told"
    assert set(journal.holds) == set(model.holds), "held, and nobody was told"
    for name, account in model.accounts.items():
        assert journal.lines.get(name, []) == account["lines"]
    for hold_id, hold in model.holds.items():
        assert journal.holds[hold_id]["state"] == hold["state"]
    for row in journal.usage:
        used = model.used(row["account_id"], row["counter"], row["period"], row["starts_on"])
        assert (row["amount_fen"], row["times"]) == used


class Journal:
    """What the database says happened."""

    def __init__(self, city: City) -> None:
        entry, posting = tables.entry.c, tables.posting.c
        with city.units.read(Which.LEDGER) as work:
            rows = {
                table.name: list(work.execute(select(table).order_by(*order)).mappings())
                for table, order in (
                    (tables.posting, (posting.operation_id, posting.leg)),
                    (tables.entry, (entry.account_id, entry.line)),
                    (tables.hold, ()),
                    (tables.usage, ()),
                )
            }
        self.postings: dict[str, list[Any]] = {}
        for row in rows["posting"]:
            self.postings.setdefault(row["operation_id"], []).append(row)
        self.lines: dict[str, list[tuple[str, str, int, int]]] = {}
        for row in rows["entry"]:
            line = (row["operation_id"], row["side"], row["amount_fen"], row["balance_fen"])
            self.lines.setdefault(row["account_id"], []).append(line)
            assert row["line"] == len(self.lines[row["account_id"]])
        self.holds = {row["hold_id"]: row for row in rows["hold"]}
        self.usage = rows["usage"]

    def command(self, moment: datetime, asked: Command, answer: Answer) -> Command:
        """What was asked; what was done is taken from the journal, not from the caller."""
        match asked:
            case Move() if answer[0] == "posted":
                return replace(asked, transfer=self._transfer(moment, asked.transfer))
            case Capture() if answer[0] == "captured":
                return replace(asked, transfer=self._transfer(moment, asked.transfer))
            case Hold() if answer[0] == "held":
                row = self.holds[asked.hold_id]
                assert row["made_at"] == moment
                leg = Leg(row["debit"], row["credit"], row["amount_fen"])
                ends = row["expires_at"]
                ttl_seconds = None if ends is None else int((ends - moment).total_seconds())
                counts = tuple(row["counts"].split(",")) if row["counts"] else ()
                return Hold(asked.hold_id, leg, ttl_seconds, counts)
        return asked

    def _transfer(self, moment: datetime, asked: Transfer) -> Transfer:
        rows = self.postings[asked.operation_id]
        day = business_date(moment)
        assert {(row["posted_at"], row["business_date"]) for row in rows} == {(moment, day)}
        legs = tuple(Leg(row["debit"], row["credit"], row["amount_fen"]) for row in rows)
        said = {name: rows[0][name] for name in ("code", "linked_to", "memo")}
        return replace(asked, legs=legs, **said)
