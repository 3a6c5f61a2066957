"""What follows when something happens to a person, a phone or a card: data; knows no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from backend.virtual_card.errors import EventMalformed
from backend.virtual_card.model import Actor, CardKind, Cause, EventKind
from backend.virtual_card.states import Reason, TokenState

MOVE_BOUND = timedelta(hours=72)
"""So long an old token lives beside a successor that was not confirmed."""

EVENTS_MAX = 500
"""Of one person; more are somebody's mistake."""


class Action(Enum):
    SUSPEND = "suspend"
    KEEP = "keep"  # and relink: to the new card or the new device, where the event names one
    DELETE = "delete"


POLICY: Mapping[tuple[EventKind, CardKind], Action] = {
    # The plastic is gone, the phone is not. A secondary card has no name to make it anew for.
    (EventKind.LOST_PLASTIC, CardKind.MAIN): Action.KEEP,
    (EventKind.LOST_PLASTIC, CardKind.SECONDARY): Action.SUSPEND,
    (EventKind.LOST_PLASTIC, CardKind.MOBILE): Action.KEEP,
    (EventKind.LOST_PHONE, CardKind.MAIN): Action.SUSPEND,
    (EventKind.LOST_PHONE, CardKind.SECONDARY): Action.SUSPEND,
    (EventKind.LOST_PHONE, CardKind.MOBILE): Action.SUSPEND,
    (EventKind.NEW_PHONE, CardKind.MAIN): Action.KEEP,
    (EventKind.NEW_PHONE, CardKind.SECONDARY): Action.KEEP,
    (EventKind.NEW_PHONE, CardKind.MOBILE): Action.KEEP,
    # A secondary card is bound to no person, and so to no number.
    (EventKind.SIM_CHANGE, CardKind.MAIN): Action.SUSPEND,
    (EventKind.SIM_CHANGE, CardKind.SECONDARY): Action.KEEP,
    (EventKind.SIM_CHANGE, CardKind.MOBILE): Action.SUSPEND,
    (EventKind.DEATH, CardKind.MAIN): Action.DELETE,
    (EventKind.DEATH, CardKind.SECONDARY): Action.DELETE,
    (EventKind.DEATH, CardKind.MOBILE): Action.DELETE,
    # The main card is for residents; it comes back with them.
    (EventKind.MOVED_AWAY, CardKind.MAIN): Action.SUSPEND,
    (EventKind.MOVED_AWAY, CardKind.SECONDARY): Action.KEEP,
    (EventKind.MOVED_AWAY, CardKind.MOBILE): Action.KEEP,
}
"""Total: a test walks it."""

NEEDS: Mapping[EventKind, tuple[str, ...]] = {
    EventKind.LOST_PLASTIC: (),
    EventKind.LOST_PHONE: ("device_id",),
    EventKind.NEW_PHONE: ("device_id", "new_device_id"),
    EventKind.SIM_CHANGE: (),
    EventKind.DEATH: (),
    EventKind.MOVED_AWAY: (),
}
"""Members an event cannot do without. With a device only that device's tokens are meant, with a
card only that card's; otherwise all of the person's."""

TOLD_BY_HOLDER = frozenset(
    {EventKind.LOST_PLASTIC, EventKind.LOST_PHONE, EventKind.NEW_PHONE, EventKind.SIM_CHANGE}
)
"""What a citizen may say of himself; the rest comes from departments and staff."""

ENDS_DEVICES = frozenset({EventKind.DEATH})


@dataclass(frozen=True, slots=True)
class ApplyEvent:
    """Something that happened; `event_id` is the teller's own id for it, for ever."""

    event_id: str
    kind: EventKind
    person_id: str
    by: Actor
    device_id: str | None = None
    new_device_id: str | None = None
    card_id: str | None = None
    new_card_id: str | None = None

    def content(self) -> dict[str, str | None]:
        """What makes it this event and no other."""
        names = ("device_id", "new_device_id", "card_id", "new_card_id")
        return {"kind": self.kind.value, **{name: getattr(self, name) for name in names}}

    def check(self) -> None:
        """Raises EventMalformed."""
        for name in NEEDS[self.kind]:
            if getattr(self, name) is None:
                raise EventMalformed(event=self.kind.value, field=name)
        if self.new_device_id is not None and self.new_device_id == self.device_id:
            raise EventMalformed(event=self.kind.value, field="new_device_id")

    @property
    def reason(self) -> Reason:
        return Reason(self.kind.value)

    @property
    def cause(self) -> Cause:
        return Cause(self.reason, self.by, self.event_id)


@dataclass(frozen=True, slots=True)
class Effect:
    """What an event did to one token."""

    token_id: str
    action: Action
    state: TokenState


@dataclass(frozen=True, slots=True)
class Applied:
    """An event with what followed; told again, the same."""

    event_id: str
    kind: EventKind
    effects: tuple[Effect, ...]
