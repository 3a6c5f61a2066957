"""From a stored entry to its outcome: send, ask, send again, or reverse; never a second charge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reader_bridge.backend_client import LOCKED_OUT, BackendClient, Refused, Unreachable
from reader_bridge.clock import Clock
from reader_bridge.journal import Entry, EntryKind, EntryState, Journal

# A sale the backend never saw is sent again this long after it was stored. Later the customer has
# left and may have paid otherwise: it is reversed instead, and a late original is then refused.
RESEND_SECONDS: Final = 120
PAYMENTS_PATH: Final = "/v1/terminal/payments"
Steps = tuple[tuple[str, float], ...]

_STATE_OF_PAYMENT: Final[Mapping[str, EntryState]] = {
    "captured": EntryState.CAPTURED,
    "partially_refunded": EntryState.CAPTURED,
    "refunded": EntryState.CAPTURED,
    "voided": EntryState.REVERSED,
    "reversed": EntryState.REVERSED,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Every method gives the entry as the journal now has it; `stored` means still unknown."""

    journal: Journal
    client: BackendClient
    clock: Clock

    def send_first(self, entry: Entry, steps: Steps) -> Entry:
        """The first sending of a fresh entry; asks by id when the answer is lost."""
        try:
            return self.send_fresh(entry, steps)
        except Unreachable as failure:
            return self._settle(entry, (EntryState.REFUSED, never_sent(failure)), steps)

    def send_fresh(self, entry: Entry, steps: Steps) -> Entry:
        """The same; raises Unreachable where the request surely never left."""
        started = self.clock.elapsed()
        try:
            outcome = self._post(entry)
        except Refused as refusal:
            outcome = _refusal(refusal)
        except Unreachable as failure:
            if not failure.sent:
                raise
            return self.ask(entry)
        if outcome is None:
            return self.ask(entry)
        milliseconds = round((self.clock.elapsed() - started) * 1000, 3)
        return self._settle(entry, outcome, (*steps, ("backend", milliseconds)))

    def ask(self, entry: Entry) -> Entry:
        """What became of an entry: by its id, else by sending it again, else by reversing it."""
        if entry.draft.kind is EntryKind.REFUND:
            return self._send_again(entry)
        try:
            answer = self.client.get(f"{PAYMENTS_PATH}/{entry.draft.entry_id}")
        except Refused as refusal:
            if (refusal.status, refusal.code) != (404, "payment_unknown"):
                return entry
        except Unreachable:
            return entry
        else:
            return self._settle(entry, _outcome(entry, answer), entry.steps)
        return self._bring_home(entry)

    def reverse(self, entry: Entry) -> Entry:
        """Take a sale back, also one the backend never saw. Raises Refused, Unreachable."""
        payment_id = entry.draft.payment_id
        path = f"{PAYMENTS_PATH}/{payment_id}/reversal"
        answer = self.client.post(path, b"{}", f"rev_{payment_id}")
        if answer.get("payment_id") != payment_id or answer.get("state") != "reversed":
            raise Unreachable("answer_not_understood", sent=True)
        first_answer = entry.answer or {}
        outcome = EntryState.REVERSED, {**first_answer, **answer}
        return self._settle(entry, outcome, entry.steps)

    def _bring_home(self, entry: Entry) -> Entry:
        """A sale that the backend says it never saw: sent again while fresh, else reversed."""
        age_seconds = self.clock.unix_now() - entry.stored_at
        if 0 <= age_seconds <= RESEND_SECONDS:
            return self._send_again(entry)
        try:
            return self.reverse(entry)
        except (Refused, Unreachable):
            return entry

    def _send_again(self, entry: Entry) -> Entry:
        """The same id, key and bytes: the backend answers what it answered or would have."""
        try:
            outcome = self._post(entry)
        except Refused as refusal:
            if refusal.status in LOCKED_OUT:
                return entry  # says nothing about the first sending
            outcome = _refusal(refusal)
        except Unreachable:
            return entry
        return self._settle(entry, outcome, entry.steps)

    def _post(self, entry: Entry) -> tuple[EntryState, Mapping[str, Any]] | None:
        draft = entry.draft
        path = PAYMENTS_PATH
        if draft.kind is EntryKind.REFUND:
            path = f"{PAYMENTS_PATH}/{draft.payment_id}/refunds"
        return _outcome(entry, self.client.post(path, entry.body, draft.entry_id))

    def _settle(
        self, entry: Entry, outcome: tuple[EntryState, Mapping[str, Any]] | None, steps: Steps
    ) -> Entry:
        if outcome is None:
            return entry
        state, answer = outcome
        at = int(self.clock.unix_now())
        return self.journal.settle(entry.draft.entry_id, state, answer, at, steps)


def _outcome(
    entry: Entry, answer: Mapping[str, Any]
) -> tuple[EntryState, Mapping[str, Any]] | None:
    """What an answer says about this very entry; None when it does not speak of it."""
    draft = entry.draft
    if draft.kind is EntryKind.REFUND:
        is_ours = answer.get("refund_id") == draft.entry_id and answer.get("state") == "posted"
        return (EntryState.POSTED, answer) if is_ours else None
    facts = answer.get("payment_id"), answer.get("amount_fen")
    state = _STATE_OF_PAYMENT.get(str(answer.get("state")))
    if facts != (draft.entry_id, draft.amount_fen) or state is None:
        return None
    return state, answer


def _refusal(refusal: Refused) -> tuple[EntryState, Mapping[str, Any]]:
    answer = {
        "code": refusal.code,
        "detail": refusal.detail,
        "retryable": refusal.retryable,
        "data": dict(refusal.data),
    }
    return EntryState.REFUSED, json.loads(json.dumps(answer))


def never_sent(failure: Unreachable) -> dict[str, Any]:
    """The answer of a sale that ends because no connection came about."""
    return {
        "code": "backend_unreachable",
        "detail": failure.reason,
        "retryable": True,
        "data": {},
    }
