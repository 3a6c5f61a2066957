"""A sale by mobile card: online first (a shop) or offline first (a bus); knows no purse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from reader_bridge.offline import Accept, GenuineCertificates, MobileCardFacts, Refuse, decide
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
        transaction = sale.transaction(self.desk.clock.random_bytes(4))
        proof = tap_selected(tap.exchange, transaction, selected, sale.profile.issuer_keys)
        require_valid_at(proof.certificate, sale.at)
        response = GpoResponse.decode(proof.gpo_response)
        usage = self.desk.journal.usage(f"token:{response.token_number}", sale.at)
        draft = sale.draft("tap", proof.application.label)
        shown = _Shown(sale, proof, response, usage, draft, tap.done())
        if not (sale.is_offline_first or self.desk.line.is_down()):
            return self._ask_online(shown, None)
        verdict = self._decide(shown)
        if isinstance(verdict, Accept):
            return self._accept_new(shown)
        if sale.is_offline_first and not verdict.may_ask_online:
            return self.desk.refusal(verdict.fault(), sale.amount_fen, sale.reference)
        return self._ask_online(shown, verdict)

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
            return self.desk.told_again(entry, draft.amount_fen)
        self.desk.wake()
        return self.desk.receipt(entry, (*shown.steps, *stored))

    def _ask_online(self, shown: _Shown, verdict: Refuse | None) -> Receipt:
        """`verdict`: what the terminal found already; None when it has not looked."""
        sale, draft, journal = shown.sale, shown.draft, self.desk.journal
        body_of = sale.online_body(draft, shown.wire)
        entry, is_new, stored = self.desk.timed(
            lambda: journal.store(draft, body_of, sale.at, card_key=shown.card_key, atc=shown.atc)
        )
        if not is_new:
            return self.desk.told_again(entry, draft.amount_fen)
        steps = (*shown.steps, *stored)
        sent = self.desk.send(entry, steps)
        if isinstance(sent, Unreachable):
            return self._without_backend(shown, entry, verdict or self._decide(shown), steps, sent)
        return self.desk.receipt(sent)

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
        if isinstance(verdict, Refuse):
            # A terminal that never sells offline has nothing to say about the card.
            why = verdict.fault() if shown.sale.known.sells_offline else failure
        elif self.desk.journal.can_take_offline():
            body = shown.sale.offline_body(entry.draft, shown.wire)(entry.terminal_counter)
            taken = self.desk.journal.accept(entry.draft.entry_id, body, shown.sale.at)
            self.desk.wake()
            return self.desk.receipt(taken, steps)
        else:
            why = TerminalFault("journal_full")
        return self.desk.receipt(self.desk.give_up(entry, steps, why))
