"""Brings a load's word to the backend and asks how it stands; knows no card and no thread.

Every request may be sent again for ever: the backend decides by the load's id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from reader_bridge.backend_client import LOCKED_OUT, Refused, Unreachable
from reader_bridge.clock import Clock
from reader_bridge.loads import wire
from reader_bridge.loads.book import LoadBook
from reader_bridge.loads.faults import NEVER_BEGUN, NEVER_BEGUN_CODE
from reader_bridge.loads.values import Load, LoadStage

# A request the backend has not seen after this time is not under way any more.
IN_FLIGHT_SECONDS: Final = 120
LOOK_SECONDS: Final = 600  # how often the backend is asked about one load whose card is away


class Caller(Protocol):
    """The part of the backend client a load needs. Raises Refused, Unreachable."""

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Mapping[str, Any]: ...

    def post(self, path: str, body: bytes, idempotency_key: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class LoadTeller:
    """Every method gives the load as the book now has it, whether or not it got through."""

    book: LoadBook
    client: Caller
    clock: Clock

    def begin(self, load: Load) -> Load:
        """The request that may take the money; the same one again is the same load.

        Raises Refused and Unreachable(sent=False): nothing was taken, and it stands in the book.
        Unreachable(sent=True): nobody knows, the load stays `asked`.
        """
        try:
            answer = self.client.post(wire.LOADS_PATH, load.body, load.load_id)
        except Refused as refusal:
            self.book.settle(load.load_id, LoadStage.REFUSED, refusal_of(refusal))
            raise
        except Unreachable as failure:
            if not failure.sent:
                words = {"code": "backend_unreachable", "detail": failure.reason}
                self.book.settle(load.load_id, LoadStage.REFUSED, {**words, "retryable": True})
            raise
        begun = self._keep(load, answer)
        if begun.stage is LoadStage.ASKED:
            raise Unreachable("answer_not_understood", sent=True)
        return begun

    def settle(self, load: Load) -> Load:
        """Whatever can be done for this load without its card."""
        if load.stage is LoadStage.WRITTEN:
            assert load.tac is not None
            return self._tell(load, "written", wire.written_body(load.tac), "wrt")
        if load.stage is LoadStage.RETURNING:
            assert load.evidence is not None
            digest = hashlib.sha256(load.evidence).hexdigest()[:12]
            return self._tell(load, "returned", load.evidence, f"rtn{digest}")
        if load.stage in {LoadStage.ASKED, LoadStage.PAID, LoadStage.LOST}:
            return self._ask(load)
        return load

    def decide(self, load: Load) -> Load:
        """An `asked` load whose card is here: asked about, or sent again while it may be under
        way, so that no late original can take money behind the next load."""
        asked = self._ask(load)
        if asked.stage is not LoadStage.ASKED:
            return asked
        try:
            return self.begin(asked)
        except (Refused, Unreachable):
            return self.book.get(load.load_id)

    def _tell(self, load: Load, word: str, body: bytes, prefix: str) -> Load:
        path = f"{wire.LOADS_PATH}/{load.load_id}/{word}"
        try:
            answer = self.client.post(path, body, f"{prefix}_{load.load_id}")
        except Unreachable:
            return load
        except Refused as refusal:
            if refusal.status in LOCKED_OUT or refusal.retryable:
                return load
            return self.book.settle(load.load_id, LoadStage.LOST, refusal_of(refusal))
        stage = wire.stage_of(load.load_id, load.amount_fen, answer)
        if stage is None or stage is LoadStage.PAID:
            return load
        return self.book.settle(load.load_id, stage, answer)

    def _ask(self, load: Load) -> Load:
        at = int(self.clock.unix_now())
        self.book.looked(load.load_id, at)
        try:
            answer = self.client.get(f"{wire.LOADS_PATH}/{load.load_id}")
        except Unreachable:
            return load
        except Refused as refusal:
            is_unknown = (refusal.status, refusal.code) == (404, "load_unknown")
            is_late = not 0 <= at - load.asked_at <= IN_FLIGHT_SECONDS
            if is_unknown and is_late and load.stage is LoadStage.ASKED:
                words = {"zh": NEVER_BEGUN.zh, "en": NEVER_BEGUN.en}
                ended = {"code": NEVER_BEGUN_CODE, "detail": NEVER_BEGUN.en, "words": words}
                return self.book.settle(load.load_id, LoadStage.REFUSED, ended)
            return load
        return self._keep(load, answer)

    def _keep(self, load: Load, answer: Mapping[str, Any]) -> Load:
        """What an answer about an open load says."""
        stage = wire.stage_of(load.load_id, load.amount_fen, answer)
        if stage in {LoadStage.CONFIRMED, LoadStage.RETURNED}:
            return self.book.settle(load.load_id, stage, answer)
        given = wire.authorisation_of(answer)
        if stage is LoadStage.PAID and load.stage is LoadStage.ASKED and given is not None:
            return self.book.paid(load.load_id, replace(load.intent, authorisation=given))
        return load


def refusal_of(refusal: Refused) -> dict[str, Any]:
    """As the book keeps it."""
    return {
        "code": refusal.code,
        "detail": refusal.detail,
        "retryable": refusal.retryable,
        "data": {name: str(value) for name, value in refusal.data.items()},
    }
