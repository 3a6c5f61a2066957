"""The issuer as the purse kernel knows it, over HTTP: stored first, sent afterwards.

Knows no card: the kernel speaks to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from typeid import TypeID

from reader_bridge.backend_client import Unreachable
from reader_bridge.faults import TerminalFault
from reader_bridge.kernels.epurse import (
    LoadAuthorisation,
    LoadIntent,
    LoadRequest,
    PurseLoad,
)
from reader_bridge.loads import wire
from reader_bridge.loads.book import LoadBook
from reader_bridge.loads.teller import LoadTeller
from reader_bridge.loads.values import Funding, Load, LoadStage

ID_PREFIX: Final = "lod"


class ReferenceTaken(Exception):
    """Another process used the reference while the card was read: nothing leaves."""

    def __init__(self, load: Load) -> None:
        super().__init__(load.reference)
        self.load = load


@dataclass(frozen=True, slots=True)
class LoadWish:
    """What a load is to be; `proof` is the payer's, None for cash."""

    reference: str
    amount_fen: int
    funding: Funding
    proof: Mapping[str, Any] | None
    application: str | None


class BackendLoadHost:
    """The kernel's `LoadHost` for one load: a new one (`wish`), or one to be finished (`load`).

    The id and the request are on the disk before they leave; `written` and `returned` keep the
    card's word on the disk, and the teller brings it to the backend afterwards.
    """

    def __init__(
        self,
        book: LoadBook,
        teller: LoadTeller,
        *,
        wish: LoadWish | None = None,
        load: Load | None = None,
    ) -> None:
        self._book, self._teller, self._wish = book, teller, wish
        self.load = load

    def begin(self, request: LoadRequest) -> LoadAuthorisation:
        """Raises Refused, Unreachable, TerminalFault(journal_full, sale_unfinished),
        ReferenceTaken: the card has nothing."""
        wish = self._wish
        if wish is None:
            raise ValueError("a load that is to be finished is not begun again")
        load_id = str(TypeID(prefix=ID_PREFIX))
        now = int(self._teller.clock.unix_now())
        load = Load(
            load_id=load_id,
            reference=wish.reference,
            amount_fen=wish.amount_fen,
            funding=wish.funding,
            stage=LoadStage.ASKED,
            intent=LoadIntent(request, wire.UNASKED),
            body=wire.begin_body(load_id, request, wish.funding, wish.proof),
            asked_at=now,
            application=wish.application,
        )
        kept, is_new = self._book.ask(load)
        if not is_new:
            raise ReferenceTaken(kept)
        self.load = kept
        self.load = self._teller.begin(kept)
        if self.load.stage is not LoadStage.PAID:  # settled elsewhere in this very moment
            raise Unreachable("load_settled_elsewhere", sent=True)
        return self.load.intent.authorisation

    def before_credit(self, intent: LoadIntent) -> None:
        """Raises RuntimeError unless exactly this intent is on the disk."""
        load = self._get()
        if load.stage is not LoadStage.PAID or load.intent != intent:
            raise RuntimeError("CREDIT must not leave: its intent is not on the disk")

    def written(self, load: PurseLoad) -> None:
        self.load = self._book.written(self._get().load_id, load.tac)

    def returned(self, intent: LoadIntent, evidence: LoadRequest | None) -> None:
        """Without evidence nothing is known yet: the load stays open until the card returns."""
        if evidence is not None:
            body = wire.returned_body(evidence)
            self.load = self._book.returning(self._get().load_id, body)

    def _get(self) -> Load:
        if self.load is None:
            raise TerminalFault("sale_unknown", reference="")
        return self.load
