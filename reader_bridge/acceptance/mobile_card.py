"""A sale by mobile card: online first (a shop) or offline first (a bus); knows no purse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from card_protocol.mobile_card import GpoResponse
from reader_bridge.acceptance.desk import Desk, Tap
from reader_bridge.acceptance.sale import Sale, tap_proof
from reader_bridge.backend_client import Unreachable
from reader_bridge.delivery import Steps
from reader_bridge.faults import Fault, TerminalFault
from reader_bridge.journal import Atc, Draft, Entry, Usage
from reader_bridge.kernels.mobile_card import TapProof, require_valid_at, tap_selected
from reader_bridge.kernels.selection import Selected
from reader_bridge.modes import Held, MobileTap, RideRefused
from reader_bridge.offline import (
    Accept,
    GenuineCertificates,
    MobileCardFacts,
    Refuse,
    decide,
    standing_of,
)
from reader_bridge.receipt import Receipt


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the card has said to this sale, and what was known of it before."""

    sale: Sale
    proof: TapProof
    response: GpoResponse
    usage: Usage  # before this tap: storing the sale raises the counter that is remembered
    draft: Draft
    steps: Steps

    @property
    def card_key(self) -> str:
        return f"token:{self.response.token_number}"

    @property
    def atc(self) -> Atc:
        return Atc(self.response.atc, self.proof.certificate.not_after)

    @property
    def wire(self) -> Mapping[str, Any]:
        return tap_proof(self.proof)


@dataclass(frozen=True, slots=True)
class MobileCardFlow:
    """Online the backend judges; the terminal judges where the request surely never left."""

    desk: Desk
    is_genuine: GenuineCertificates = field(default_factory=GenuineCertificates)

    def sell(self, sale: Sale, tap: Tap, selected: Selected) -> Receipt:
        """Raises CardFault, ReaderFault: nothing was stored; TerminalFault(journal_full)."""
        said = sale.decided(self._tap(sale))
        assert isinstance(said, Sale), "nobody has told of a ride before"
        if said.fare is not None and said.is_free:
            label = selected.application.label
            free = self.desk.passing(sale.reference, "tap", label, said.fare)
            return replace(free, steps=tap.done())
        shown = self._shown(said, tap, selected)
        return self._find_held(shown) or self._sell(shown)

    def _shown(self, sale: Sale, tap: Tap, selected: Selected) -> _Shown:
        transaction = sale.transaction(self.desk.clock.random_bytes(4))
        proof = tap_selected(tap.exchange, transaction, selected, sale.profile.issuer_keys)
        standing = standing_of(sale.known.profile, sale.known.deny_list, sale.at)
        if standing.code != "terminal_clock_wrong":  # then this clock cannot judge a card
            require_valid_at(proof.certificate, sale.at)
        response = GpoResponse.decode(proof.gpo_response)
        usage = self.desk.journal.usage(f"token:{response.token_number}", sale.at)
        draft = sale.draft("tap", proof.application.label)
        return _Shown(sale, proof, response, usage, draft, tap.done())

    def _sell(self, shown: _Shown) -> Receipt:
        sale = shown.sale
        is_here_first = sale.is_offline_first or self.desk.line.is_down()
        if sale.is_online_only or not is_here_first:
            return self._ask_online(shown, None)
        verdict = self._decide(shown)
        if isinstance(verdict, Accept):
            return self._accept_new(shown)
        if sale.is_offline_first and not verdict.may_ask_online:
            return self.desk.refusal(verdict.fault(), sale.amount_fen, sale.reference)
        return self._ask_online(shown, verdict)

    def _tap(self, sale: Sale, last_ride_at: int | None = None) -> MobileTap:
        is_online = not self.desk.line.is_down()
        started_at = sale.stay_started_at
        return MobileTap(is_online=is_online, last_ride_at=last_ride_at, stay_started_at=started_at)

    def _find_held(self, shown: _Shown) -> Receipt | None:
        """The same card at the same validator within seconds: its proof is thrown away. A false or
        denied card hears why it is refused instead."""
        sale = shown.sale
        last_at = sale.find_last_ride_at(self.desk.journal, shown.card_key)
        if last_at is None:
            return None
        said = sale.decided(self._tap(sale, last_at))
        if not isinstance(said, Held):
            return None
        verdict = self._decide(shown)
        if isinstance(verdict, Refuse) and not verdict.may_ask_online:
            return self.desk.refusal(verdict.fault(), sale.amount_fen, sale.reference)
        told = self.desk.passing(sale.reference, "tap", shown.draft.application, said)
        return replace(told, steps=shown.steps)

    def _decide(self, shown: _Shown) -> Accept | Refuse:
        sale, proof = shown.sale, shown.proof
        facts = MobileCardFacts(sale.amount_fen, proof.certificate, proof.pdol_data, shown.response)
        known = sale.known
        return decide(
            facts, known.profile, known.deny_list, shown.usage, sale.at, is_genuine=self.is_genuine
        )

    def _accept_new(self, shown: _Shown) -> Receipt:
        sale, draft, journal = shown.sale, shown.draft, self.desk.journal
        body_of = sale.offline_body(draft, shown.wire)
        entry, is_new, stored = self.desk.timed(
            lambda: journal.accept_new(draft, shown.card_key, body_of, sale.at, atc=shown.atc)
        )
        if not is_new:
            return self.desk.told_again(entry, sale.amount_like(entry))
        self.desk.wake()
        return self.desk.receipt(entry, (*shown.steps, *stored), fare=sale.fare)

    def _ask_online(self, shown: _Shown, verdict: Refuse | None) -> Receipt:
        """`verdict`: what the terminal found already; None when it has not looked."""
        sale, draft, journal = shown.sale, shown.draft, self.desk.journal
        body_of = sale.online_body(draft, shown.wire)
        entry, is_new, stored = self.desk.timed(
            lambda: journal.store(draft, body_of, sale.at, card_key=shown.card_key, atc=shown.atc)
        )
        if not is_new:
            return self.desk.told_again(entry, sale.amount_like(entry))
        steps = (*shown.steps, *stored)
        sent = self.desk.send(entry, steps)
        if isinstance(sent, Unreachable):
            return self._without_backend(shown, entry, verdict or self._decide(shown), steps, sent)
        return self.desk.receipt(sent, fare=sale.fare)

    def _without_backend(
        self,
        shown: _Shown,
        entry: Entry,
        verdict: Accept | Refuse,
        steps: Steps,
        failure: Unreachable,
    ) -> Receipt:
        """The same id and counter go up later, or the sale ends here."""
        why: Unreachable | Fault = failure
        if shown.sale.is_online_only:
            why = RideRefused("mobile_card_online_only")
        elif isinstance(verdict, Refuse):
            # A terminal that never sells offline has nothing to say about the card.
            why = verdict.fault() if shown.sale.known.sells_offline else failure
        elif self.desk.journal.can_take_offline():
            body = shown.sale.offline_body(entry.draft, shown.wire)(entry.terminal_counter)
            taken = self.desk.journal.accept(entry.draft.entry_id, body, shown.sale.at)
            self.desk.wake()
            return self.desk.receipt(taken, steps, fare=shown.sale.fare)
        else:
            why = TerminalFault("journal_full")
        return self.desk.receipt(self.desk.give_up(entry, steps, why))
