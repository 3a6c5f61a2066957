"""The ledger's promises in plain dicts and whole numbers: what every answer must be.

Imports nothing of the code it judges. Slow on purpose: what is held and what was used of a limit
is added up anew from the first day whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any

Leg = tuple[str, str, int]  # debit, credit, fen
Answer = tuple[str, dict[str, Any]]  # a code; figures, or the accounts afterwards
PERIODS = ("balance", "sale", "day", "year", "ever")


class Refused(Exception):
    """Carries the answer."""

    def __init__(self, code: str, **figures: Any) -> None:
        super().__init__(code)
        self.answer: Answer = (code, figures)


def day_of(moment: datetime) -> date:
    """Shanghai has no summer time."""
    return (moment + timedelta(hours=8)).date()


class Model:
    """`limits`: the fields of each entry; `accounts`: by name, opened by `open`."""

    def __init__(self, limits: Iterable[Mapping[str, Any]]) -> None:
        self.limits = sorted(limits, key=lambda one: one["effective_from"])
        self.accounts: dict[str, dict[str, Any]] = {}
        self.posted: dict[str, dict[str, Any]] = {}
        self.holds: dict[str, dict[str, Any]] = {}
        self.uses: list[tuple[str, str, date, int, int]] = []
        self.kept: dict[str, tuple[Mapping[str, str], Answer]] = {}
        self.now = datetime(1970, 1, 1, tzinfo=UTC)

    # --- what is there ------------------------------------------------------------------------

    def open(self, name: str, side: str, account_class: str | None, floor_fen: int | None) -> None:
        fixed = {"side": side, "account_class": account_class, "floor_fen": floor_fen}
        self.accounts[name] = {**fixed, "state": "open", "balance_fen": 0, "lines": []}

    def is_pending(self, hold_id: str) -> bool:
        hold = self.holds[hold_id]
        ends = hold["expires_at"]
        return hold["state"] == "pending" and (ends is None or self.now < ends)

    def held(self, name: str, *, coming: bool) -> int:
        """What is promised away from an account, or is coming to it."""
        legs = [one["leg"] for hold_id, one in self.holds.items() if self.is_pending(hold_id)]
        own_is_debit = self.accounts[name]["side"] == "debit"
        return sum(leg[2] for leg in legs if name == leg[0 if own_is_debit is coming else 1])

    def told(self, names: Iterable[str]) -> dict[str, Any]:
        """Balance, available and promised (where a law looks at them), lines, state."""
        found = {}
        for name in names:
            one = self.accounts[name]
            fen, has_floor = one["balance_fen"], one["floor_fen"] is not None
            promised_fen = fen + self.held(name, coming=True) if one["account_class"] else None
            available_fen = fen - self.held(name, coming=False) if has_floor else None
            found[name] = [fen, available_fen, promised_fen, len(one["lines"]), one["state"]]
        return found

    def used(self, name: str, counter: str, period: str, day: date) -> tuple[int, int]:
        fen = times = 0
        for account, fed, on, used_fen, used_times in self.uses:
            same = {"day": on == day, "year": on.year == day.year, "ever": True}.get(period, False)
            if (account, fed) == (name, counter) and same:
                fen, times = max(0, fen + used_fen), max(0, times + used_times)
        return fen, times

    def limits_of(self, account_class: str, counter: str | None) -> list[Mapping[str, Any]]:
        newest = {}
        for one in self.limits:
            if one["effective_from"] <= day_of(self.now):
                newest[one["rule"], one["account_class"]] = one
        mine = [
            one
            for one in newest.values()
            if one["account_class"] in (account_class, "*") and one["counter"] == counter
            if one["amount_max_fen"] is not None or one["times_max"] is not None
        ]
        return sorted(mine, key=lambda one: (PERIODS.index(one["period"]), one["rule"]))

    # --- what happens -------------------------------------------------------------------------

    def post(
        self,
        operation_id: str,
        said: Mapping[str, Any],
        legs: list[Leg],
        *,
        counts: tuple[str, ...] = (),
        gives_back: tuple[str, ...] = (),
        checked: Iterable[str] | None = None,
        with_ceilings: bool = True,
    ) -> Answer:
        """`said`: code, linked_to and memo."""
        names = sorted({name for leg in legs for name in leg[:2]})
        if operation_id in self.posted:
            self._compare(self.posted[operation_id], {**said, "legs": legs})
            return "repeated", self.told(names)
        for name in names if checked is None else checked:
            change = self._net(name, legs)
            self._check(name, legs, change, change if with_ceilings else 0, counts)
        for name in names:
            self._use(name, counts, day_of(self.now), _moved(name, legs), 1)
            self._use(name, gives_back, day_of(self.now), -_moved(name, legs), -1)
        self._write(operation_id, said, legs)
        return "posted", self.told(names)

    def hold(
        self, hold_id: str, leg: Leg, expires_at: datetime | None, counts: tuple[str, ...]
    ) -> Answer:
        if hold_id in self.holds:
            raise Refused("held_before")
        for name in leg[:2]:
            change = self._net(name, [leg])
            self._check(name, [leg], min(change, 0), max(change, 0), counts)
        for name in leg[:2]:
            self._use(name, counts, day_of(self.now), leg[2], 1)
        hold = {"leg": leg, "expires_at": expires_at, "counts": counts, "made_at": self.now}
        self.holds[hold_id] = {**hold, "state": "pending"}
        return "held", self.told(sorted(leg[:2]))

    def post_hold(
        self, hold_id: str, operation_id: str, said: Mapping[str, Any], legs: list[Leg]
    ) -> Answer:
        hold = self._decide(hold_id, "posted")
        for name in hold["leg"][:2]:
            fen = _moved(name, legs) - hold["leg"][2]
            self._use(name, hold["counts"], day_of(hold["made_at"]), fen, 0)
        self._write(operation_id, said, legs)
        return "captured", self.told(
            sorted({one for leg in (*legs, hold["leg"]) for one in leg[:2]})
        )

    def void_hold(self, hold_id: str) -> Answer:
        hold = self._decide(hold_id, "voided")
        self._give_back(hold)
        return "voided", self.told(sorted(hold["leg"][:2]))

    def set_state(self, name: str, state: str) -> Answer:
        self.accounts[name]["state"] = state
        return "set", self.told([name])

    def pass_to(self, moment: datetime) -> None:
        """Time passes; what has run out is gone."""
        self.now = moment
        for hold_id, hold in self.holds.items():
            if hold["state"] == "pending" and not self.is_pending(hold_id):
                hold["state"] = "expired"
                self._give_back(hold)

    def would(self, act: Callable[[Model], Answer]) -> Answer:
        """What it would answer, and nothing done."""
        return act(deepcopy(self))

    def once(
        self, key: str, content: Mapping[str, str], act: Callable[[Model], Answer], *, keep: bool
    ) -> Answer:
        """The first answer to a key again; without `keep` it is not kept, nor what it did."""
        if key not in self.kept:
            if not keep:
                return self.would(act)
            self.kept[key] = (content, act(self))
        first, answer = self.kept[key]
        differing = [name for name in sorted(content) if content[name] != first[name]]
        fields = ", ".join(differing)
        return ("idempotency_conflict", {"fields": fields}) if differing else answer

    @staticmethod
    def answer(act: Callable[[], Answer]) -> Answer:
        try:
            return act()
        except Refused as refused:
            return refused.answer

    # --- inside -------------------------------------------------------------------------------

    def _net(self, name: str, legs: list[Leg]) -> int:
        """By how much the legs let an account grow on its own side."""
        debit, credit, _ = zip(*legs, strict=True)
        fen = sum(leg[2] * ((leg[0] == name) - (leg[1] == name)) for leg in legs)
        assert name in (*debit, *credit)
        return fen if self.accounts[name]["side"] == "debit" else -fen

    def _check(
        self, name: str, legs: list[Leg], available: int, promised: int, counts: tuple[str, ...]
    ) -> None:
        one = self.accounts[name]
        _fen, available_fen, promised_fen, _lines, state = self.told([name])[name]
        if state == "closed":
            raise Refused("wallet_closed")
        if available < 0 and state == "frozen":
            raise Refused("wallet_frozen")
        if available < 0 and one["floor_fen"] is not None:
            short_by_fen = one["floor_fen"] - available_fen - available
            if short_by_fen > 0:
                figures = {"balance_fen": available_fen, "short_by_fen": short_by_fen}
                raise Refused("insufficient_funds", **figures)
        if one["account_class"] is None:
            return
        ceilings = [one["amount_max_fen"] for one in self.limits_of(one["account_class"], None)]
        if promised > 0 and ceilings and promised_fen + promised > min(ceilings):
            room_fen = max(0, min(ceilings) - promised_fen)
            raise Refused("ceiling_exceeded", ceiling_fen=min(ceilings), room_fen=room_fen)
        for counter in counts if one["side"] == "credit" else ():
            for limit in self.limits_of(one["account_class"], counter):
                self._check_use(limit, name, _moved(name, legs))

    def _check_use(self, limit: Mapping[str, Any], name: str, fen: int) -> None:
        used, times = self.used(name, limit["counter"], limit["period"], day_of(self.now))
        figures = {"rule": limit["rule"], "used_fen": used, "used_times": times}
        if limit["amount_max_fen"] is not None:
            room_fen = max(0, limit["amount_max_fen"] - used)
            figures |= {"limit_fen": limit["amount_max_fen"], "room_fen": room_fen}
        if limit["times_max"] is not None:
            figures |= {"limit_times": limit["times_max"]}
        too_much = limit["amount_max_fen"] is not None and used + fen > limit["amount_max_fen"]
        if too_much or (limit["times_max"] is not None and times >= limit["times_max"]):
            raise Refused("limit_exceeded", **figures)

    def _use(self, name: str, counts: Iterable[str], day: date, fen: int, times: int) -> None:
        one = self.accounts[name]
        if one["account_class"] is not None and one["side"] == "credit":
            self.uses += [(name, counter, day, fen, times) for counter in counts]

    def _give_back(self, hold: Mapping[str, Any]) -> None:
        for name in hold["leg"][:2]:
            self._use(name, hold["counts"], day_of(hold["made_at"]), -hold["leg"][2], -1)

    def _decide(self, hold_id: str, state: str) -> Mapping[str, Any]:
        if not self.is_pending(hold_id):
            raise Refused("hold_decided")
        self.holds[hold_id]["state"] = state
        return self.holds[hold_id]

    def _write(self, operation_id: str, said: Mapping[str, Any], legs: list[Leg]) -> None:
        self.posted[operation_id] = {**said, "legs": legs}
        for leg in legs:
            for side, name in zip(("debit", "credit"), leg[:2], strict=True):
                one = self.accounts[name]
                one["balance_fen"] += leg[2] if one["side"] == side else -leg[2]
                one["lines"].append((operation_id, side, leg[2], one["balance_fen"]))

    @staticmethod
    def _compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
        pairs = list(zip(first["legs"], second["legs"], strict=False))
        found = {name for name in ("code", "linked_to", "memo") if first[name] != second[name]}
        found |= {"accounts" for one, other in pairs if one[:2] != other[:2]}
        found |= {"amount_fen" for one, other in pairs if one[2] != other[2]}
        found |= {"legs"} if len(first["legs"]) != len(second["legs"]) else set()
        if found:
            raise Refused("operation_conflict", fields=", ".join(sorted(found)))


def _moved(name: str, legs: Iterable[Leg]) -> int:
    """What a limit counts: the larger of what left an account and what reached it."""
    legs = list(legs)
    return max(sum(leg[2] for leg in legs if leg[side] == name) for side in (0, 1))
