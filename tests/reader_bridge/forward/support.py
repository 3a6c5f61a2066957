"""A backend of offline sales without a network: it decides by ids and checks what it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.forward import SALES_MAX, UPLOAD_BYTES_MAX, UPLOAD_PATH, OfflineSale, sale_body
from reader_bridge.journal import Atc, Draft, EntryKind, Journal

AT = 1_790_000_000
BALANCE_FEN = 10_000


def sell(
    journal: Journal, number: int, *, amount_fen: int = 250, proof: Mapping[str, Any] | None = None
) -> str:
    """One sale accepted offline; its payment id."""
    payment_id = f"pay_{number:04d}"
    draft = Draft(
        kind=EntryKind.SALE,
        entry_id=payment_id,
        reference=f"R{number}",
        payment_id=payment_id,
        amount_fen=amount_fen,
        method="tap",
        application="CITY CARD",
    )

    def body_of(counter: int) -> bytes:
        return sale_body(
            OfflineSale(
                payment_id=payment_id,
                terminal_counter=counter,
                amount_fen=amount_fen,
                accepted_at=AT + number,
                profile_version=3,
                mode="shop",
                proof=proof or {"kind": "tap", "pdol_data": "AA", "gpo_response": f"{number}"},
            )
        )

    journal.accept_new(
        draft, f"token:{number % 7}", body_of, AT + number, atc=Atc(number + 1, AT + 99)
    )
    return payment_id


def unreadable(status: int = 422, code: str = "malformed") -> Refused:
    return Refused(code, "no", retryable=False, data={}, status=status)


@dataclass
class UploadDesk:
    """Each sale is charged once. `faults` are met by the next requests, one each; None is none.

    A fault is an exception to raise before anything is done, or a word: "lose_answer",
    "first_two", "reversed", "twice", "nothing".
    """

    faults: list[Exception | str | None] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # payment_id -> code
    poison: dict[str, Exception] = field(default_factory=dict)  # payment_id -> what it causes
    charges: dict[str, int] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    nameless: set[str] = field(default_factory=set)  # answered without their id
    uploads: list[list[str]] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    on_upload: Callable[[], None] = lambda: None

    def post(self, path: str, body: bytes, idempotency_key: str) -> Mapping[str, Any]:
        assert path == UPLOAD_PATH
        assert len(body) <= UPLOAD_BYTES_MAX
        document = json.loads(body)
        sales = document["sales"]
        assert 1 <= len(sales) <= SALES_MAX
        self.documents.append(document)
        self.uploads.append([sale["payment_id"] for sale in sales])
        self.keys.append(idempotency_key)
        self.on_upload()
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        for sale in sales:
            if sale["payment_id"] in self.poison:
                raise self.poison[sale["payment_id"]]
        if fault == "first_two":
            sales = sales[:2]
        results = [self._decide(sale) for sale in sales]
        if fault == "lose_answer":
            raise Unreachable("no_answer_in_time", sent=True)
        if fault == "reversed":
            results.reverse()
        if fault == "twice":
            results += [{**result, "state": "refused"} for result in results]
        return {"results": [] if fault == "nothing" else results}

    def _decide(self, sale: dict[str, Any]) -> dict[str, Any]:
        payment_id = sale["payment_id"]
        if payment_id in self.nameless:
            return {"payment_id": None, "state": "refused", "code": "item_malformed"}
        if payment_id not in self.answers:
            answer = {"payment_id": payment_id}
            if payment_id in self.refused:
                answer |= {"state": "refused", "code": self.refused[payment_id], "detail": "否"}
            else:
                self.charges[payment_id] = sale["amount_fen"]
                answer |= {"state": "captured", "balance_fen": BALANCE_FEN}
            self.answers[payment_id] = answer
        return self.answers[payment_id]
