"""Whether each sale of an upload is genuine, asked before the transaction, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from backend.cards import PurseAtMoment, PurseKeyUnknown, PurseMacs, Purses
from backend.kernel import DomainError
from backend.payments.offline.model import (
    Judged,
    OfflineSale,
    PurseProof,
    PurseTacInvalid,
    PurseWord,
    TapProof,
)
from backend.virtual_card import PastProofs, PastRideCode, PastTap


@dataclass(frozen=True, slots=True)
class Judge:
    """A fixed number of questions to the business database, whatever the number of sales."""

    past: PastProofs
    purses: Purses
    macs: PurseMacs

    def judge(
        self, sales: Sequence[OfflineSale], now: datetime, *, is_dry_run: bool = False
    ) -> list[Judged]:
        """For each sale its proof as of its own moment, or what speaks against it."""
        asked = [one for one in sales if not isinstance(one.proof, PurseProof)]
        proofs = self.past.verify_all([_asked(one) for one in asked], now, is_dry_run=is_dry_run)
        by_sale: dict[int, Judged] = {
            id(sale): proof for sale, proof in zip(asked, proofs, strict=True)
        }
        words = [one.proof for one in sales if isinstance(one.proof, PurseProof)]
        known = self.purses.find_all(one.purse_number for one in words)
        return [
            self._judge_purse(one.proof, known, now)
            if isinstance(one.proof, PurseProof)
            else by_sale[id(one)]
            for one in sales
        ]

    def _judge_purse(
        self, proof: PurseProof, known: Mapping[str, PurseAtMoment], now: datetime
    ) -> PurseWord | DomainError:
        found = known.get(proof.purse_number)
        try:
            if found is not None:
                found.purse.check_key(proof.key)
            if not self.macs.is_purchase_genuine(proof.key, proof.purchase, proof.tac):
                return PurseTacInvalid()
        except DomainError as refusal:
            # An unknown purse under a key nobody here has: no word of ours, and no money.
            is_foreign = found is None and isinstance(refusal, PurseKeyUnknown)
            return PurseTacInvalid() if is_foreign else refusal
        made_at = min(proof.made_at, now)
        since = None if found is None else found.stopped_since(made_at)
        return PurseWord(proof, made_at, found is not None, since)


def _asked(sale: OfflineSale) -> PastTap | PastRideCode:
    if isinstance(sale.proof, TapProof):
        return PastTap(sale.proof.pdol_data, sale.proof.gpo_response)
    assert not isinstance(sale.proof, PurseProof)
    return PastRideCode(sale.proof.content, sale.accepted_at)
