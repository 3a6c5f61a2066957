"""Whether a person may have a card on a device: facts, figures and rules; knows no rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from backend.virtual_card.model import Attested, OsIntegrity


class Outcome(Enum):
    APPROVE = "approve"
    STEP_UP = "step_up"  # after a one-time code
    DECLINE = "decline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The rules' figures: configuration."""

    tokens_per_card_max: int = 5  # on all devices together
    tokens_per_day_max: int = 10  # made for one person, deleted ones too
    declines_per_day_max: int = 10
    loss_days: int = 7  # so long after a loss a new card needs a code
    clone_days: int = 30
    sim_days: int = 3
    phone_number_hours_min: int = 24

    def __post_init__(self) -> None:
        if any(getattr(self, name) < 1 for name in self.__slots__):
            raise ValueError("the figures of provisioning are positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a wish for a card is decided on. Ages are None for what never happened."""

    attested: Attested
    os_integrity: OsIntegrity
    other_devices: int  # active ones of this person
    tokens_of_card: int  # that are not deleted; without the one that is being moved
    tokens_before: int  # ever made for this person
    tokens_today: int
    declines_today: int
    since_loss: timedelta | None = None
    since_clone: timedelta | None = None
    since_sim_change: timedelta | None = None
    phone_number_age: timedelta | None = None  # None: nobody knows
    is_dead: bool = False
    is_device_lost: bool = False  # a card on it is suspended because the phone is lost
    is_move: bool = False
    has_code: bool = False  # a one-time code was given for exactly this


@dataclass(frozen=True, slots=True)
class Rule:
    """`code` is public: it is told to the citizen and kept with the decision."""

    code: str
    outcome: Outcome
    holds: Callable[[Facts, Figures], bool]


def _is_within(age: timedelta | None, limit: timedelta) -> bool:
    return age is not None and age < limit


RULES: tuple[Rule, ...] = (
    Rule("holder_deceased", Outcome.DECLINE, lambda facts, _: facts.is_dead),
    Rule("device_lost", Outcome.DECLINE, lambda facts, _: facts.is_device_lost),
    Rule(
        "os_integrity_broken",
        Outcome.DECLINE,
        lambda facts, _: facts.os_integrity is OsIntegrity.BROKEN,
    ),
    Rule(
        "tokens_per_card",
        Outcome.DECLINE,
        lambda facts, figures: facts.tokens_of_card >= figures.tokens_per_card_max,
    ),
    Rule(
        "tokens_per_day",
        Outcome.DECLINE,
        lambda facts, figures: facts.tokens_today >= figures.tokens_per_day_max,
    ),
    Rule(
        "declines_per_day",
        Outcome.DECLINE,
        lambda facts, figures: facts.declines_today >= figures.declines_per_day_max,
    ),
    Rule("move", Outcome.STEP_UP, lambda facts, _: facts.is_move),
    Rule(
        # The first phone proved the number when its holder logged in; the next one has to
        # bring a witness or a code.
        "device_unattested",
        Outcome.STEP_UP,
        lambda facts, _: facts.other_devices > 0 and facts.attested is not Attested.HARDWARE,
    ),
    Rule(
        "recent_loss",
        Outcome.STEP_UP,
        lambda facts, figures: _is_within(facts.since_loss, timedelta(days=figures.loss_days)),
    ),
    Rule(
        "recent_clone",
        Outcome.STEP_UP,
        lambda facts, figures: _is_within(facts.since_clone, timedelta(days=figures.clone_days)),
    ),
    Rule(
        "recent_sim_change",
        Outcome.STEP_UP,
        lambda facts, figures: _is_within(facts.since_sim_change, timedelta(days=figures.sim_days)),
    ),
    Rule(
        # Whoever has no card yet has nothing that a stolen number could open.
        "phone_number_young",
        Outcome.STEP_UP,
        lambda facts, figures: (
            facts.tokens_before > 0
            and _is_within(facts.phone_number_age, timedelta(hours=figures.phone_number_hours_min))
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gravest outcome, and the codes of all rules that hold."""

    outcome: Outcome
    reasons: tuple[str, ...]


def judge(facts: Facts, figures: Figures) -> Verdict:
    """A code answers every rule that asks for one; no code answers a decline."""
    held = [rule for rule in RULES if rule.holds(facts, figures)]
    outcomes = {rule.outcome for rule in held}
    reasons = tuple(rule.code for rule in held)
    if Outcome.DECLINE in outcomes:
        return Verdict(Outcome.DECLINE, reasons)
    if Outcome.STEP_UP in outcomes and not facts.has_code:
        return Verdict(Outcome.STEP_UP, reasons)
    return Verdict(Outcome.APPROVE, reasons)
