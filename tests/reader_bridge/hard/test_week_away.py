"""A bus away from the backend for a week, against a model of its profile; then every fen compared.

The clock is handed in, the backend is the real one. `CITY_WEEKS=20` plays the long form.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reader_bridge import Outcome
from sdk_mobile import Wallet
from tests.reader_bridge.hard.world import NOWHERE, Box, Town, card_of, running_town
from tests.simulation.books import audit

WEEKS = int(os.environ.get("CITY_WEEKS", "1"))
HOUR = 3_600
LOSS_HOUR = 20.0  # the second phone is reported lost; the bus cannot know
FULL_HOURS, GRACE_HOURS, AGE_HOURS = 48, 96, 72  # of profile `line`, see world.LINE
KEYS_HOURS = 120
SALE_MAX, NARROW_MAX, CARD_SUM, CARD_COUNT, SUM, COUNT = 500, 200, 3_000, 12, 10_000, 40
FARES = (200,)  # the bus has one fare
# First and last hour, and how many sales; not near the hours above: issuers round moments down.
CALM = (
    (0, 19.5, 10),
    (20.5, 43, 8),
    (44.6, 45.9, 4),
    (51, 69, 14),
    (74, 93, 8),
    (99, 115, 4),
    (122, 160, 8),
)
CROWDED = ((0, 19.5, 90), (51, 69, 20), (99, 160, 5))
OF_A_CARD = {"offline_card_count_reached"}
IN_ALL = ("offline_sum_reached", "offline_count_reached")
AGES = {"deny_list_too_old", "offline_too_long", "card_declined"}


@dataclass(frozen=True, slots=True)
class Sale:
    hour: float
    who: str
    means: str  # mobile_card | ride_code | epurse
    fen: int


@dataclass
class Bus:
    """What a bus of profile `line` must do, told by its terms and by nothing inside it."""

    taken: dict[str, Sale] = field(default_factory=dict)  # by reference

    def refusals(self, sale: Sale) -> Iterator[str]:
        """The reasons against it, the one that is told first."""
        if sale.who == "lost" and sale.hour > KEYS_HOURS:
            yield "card_declined"  # a phone nobody fills up again ends by itself
        is_full = sale.hour <= FULL_HOURS
        if not is_full and (sale.hour > GRACE_HOURS or sale.means == "mobile_card"):
            yield "deny_list_too_old"
        if sale.fen > (SALE_MAX if is_full else NARROW_MAX):
            yield "offline_sale_too_large"
        mine = [one.fen for one in self.taken.values() if one.who == sale.who]
        if sum(mine) + sale.fen > CARD_SUM:
            yield "offline_card_sum_reached"
        if len(mine) + 1 > CARD_COUNT:
            yield "offline_card_count_reached"
        if sum(one.fen for one in self.taken.values()) + sale.fen > SUM:
            yield "offline_sum_reached"
        if len(self.taken) + 1 > COUNT:
            yield "offline_count_reached"
        if self.taken and sale.hour - next(iter(self.taken.values())).hour > AGE_HOURS:
            yield "offline_too_long"

    def outcome(self, sale: Sale) -> str | None:
        """What becomes of a taken sale once the backend hears of it: None, or its code."""
        is_stopped = sale.who == "lost" and sale.hour > LOSS_HOUR + 24
        return "token_suspended" if is_stopped else None


@dataclass
class Week:
    """Hands at a bus that hears nothing: `hour` counts from when it was last online."""

    town: Town
    box: Box
    dice: random.Random
    show: dict[tuple[str, str], Callable[[], object]]
    began: float
    bus: Bus = field(default_factory=Bus)
    seen: Counter[str] = field(default_factory=Counter)
    is_lost: bool = False

    def until(self, hour: float) -> None:
        self.town.forward(max(1.0, self.began + hour * HOUR - self.town.now()))

    def shop(self, hours: tuple[float, float, int]) -> None:
        first, last, count = hours
        for moment in sorted(self.dice.uniform(first, last) for _ in range(count)):
            self.until(moment)
            who, means = self.dice.choice(list(self.show))
            if means == "ride_code":
                self.town.forward(1)  # a code is of its second
            hour = (self.town.now() - self.began) / HOUR
            self.tap(Sale(hour, who, means, self.dice.choice(FARES)))

    def tap(self, sale: Sale) -> None:
        shown, reference = (
            self.show[sale.who, sale.means](),
            f"W{self.began}-{sum(self.seen.values())}",
        )
        act = self.box.code if sale.means == "ride_code" else self.box.tap
        receipt = act(shown, sale.fen, reference)
        told = None if receipt.refusal is None else receipt.refusal.code
        assert told == next(self.bus.refusals(sale), None), sale
        assert receipt.is_green is (told is None)
        self.seen[told or "taken"] += 1
        if told is None:
            self.bus.taken[reference] = sale


@pytest.mark.parametrize(
    ("plan", "must_see"),
    [(CALM, AGES), (CROWDED, OF_A_CARD)],
    ids=["calm", "crowded"],
)
def test_a_week_away(tmp_path, plan, must_see):
    """Goal: what the profile allows is sold and nothing else, and it is charged once."""
    seen: Counter[str] = Counter()
    for seed in range(WEEKS):
        place = tmp_path / str(seed)
        place.mkdir()
        with running_town(place) as town:
            seen += play(town, place / "bus", plan, seed)
    assert must_see <= seen.keys(), seen
    assert plan is CALM or any(code in seen for code in IN_ALL), seen


def play(town: Town, folder: Path, plan: tuple, seed: int) -> Counter[str]:
    with ExitStack() as exits:
        phone, lost = (exits.enter_context(town.phone(citizen, 60_000)) for citizen in (0, 1))
        purses = [town.plastic(50_000) for _ in range(3)]
        box = exits.enter_context(town.box(folder, "line"))
        box.wire(NOWHERE)
        before = (town.kinds(), phone.balance().balance_fen, lost.balance().balance_fen)
        show = {
            ("phone", "mobile_card"): lambda: fresh_card(phone),
            ("phone", "ride_code"): lambda: ride_of(phone),
            ("lost", "mobile_card"): lambda: card_of(lost),
            **{(one.number, "epurse"): one.shown for one in purses},
        }
        week = Week(town, box, random.Random(seed), show, town.now())
        for hours in plan:
            if hours[0] > LOSS_HOUR and not week.is_lost:
                week.until(LOSS_HOUR)
                town.report_loss(lost)  # by telephone: the phone itself does not hear of it
                week.is_lost = True
            week.shop(hours)
            if hours[0] > 44 and hours[1] < 46:
                week.tap(Sale((town.now() - week.began) / HOUR, "lost", "mobile_card", 100))
        week.until(168)
        _come_home(week, before, phone, lost, purses)
        return week.seen


def fresh_card(phone: Wallet) -> Callable[[bytes], bytes]:
    """The phone is online, as phones are: it is the bus that is not."""
    phone.refill_keys_if_needed()
    return card_of(phone)


def ride_of(phone: Wallet) -> bytes:
    phone.ride.refresh_if_needed()
    return phone.ride.show().content


def _come_home(week: Week, before: tuple, phone, lost, purses) -> None:
    """Every sale that was taken went up once, and each account holds what the model says."""
    town, box, bus = week.town, week.box, week.bus
    postings: set[int] = set()
    box.wire(town.url)
    for _ in range(2):  # the second round finds nothing to do
        box.terminal.forward()
        assert box.waiting() == []
        captured = [one for one in bus.taken.values() if bus.outcome(one) is None]
        postings.add(town.postings())
        for reference, sale in bus.taken.items():
            told = box.terminal.ask_again(reference)
            assert told.outcome is (Outcome.REFUSED if bus.outcome(sale) else Outcome.CAPTURED)
            assert (told.refusal and told.refusal.code) == bus.outcome(sale)
    assert len(postings) == 1
    kinds, phone_fen, lost_fen = before
    mine = _fen(captured, lambda one: one.who == "phone")
    early = _fen(captured, lambda one: one.who == "lost" and one.hour < LOSS_HOUR)
    late = _fen(captured, lambda one: one.who == "lost" and one.hour >= LOSS_HOUR)
    assert phone.balance().balance_fen == phone_fen - mine
    assert lost.balance().balance_fen == lost_fen - early
    assert town.moved(kinds, "write_off") == -late
    assert town.moved(kinds, "merchant_payable") == _fen(captured)
    for one in purses:
        number = one.number
        spent = _fen(captured, lambda sale, number=number: sale.who == number)
        assert one.balance_fen == 50_000 - spent
        if spent:
            assert town.parts.purse_books.figures(number).book_fen == -spent
    audit(town.parts.units)
    box.terminal.refresh()
    assert box.tap(fresh_card(phone), 100).outcome is Outcome.ACCEPTED


def _fen(sales: list[Sale], is_meant: Callable[[Sale], bool] = lambda _: True) -> int:
    return sum(one.fen for one in sales if is_meant(one))
