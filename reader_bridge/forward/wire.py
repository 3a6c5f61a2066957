"""Offline sales as JSON and the backend's words about them: shapes only, no network, no file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reader_bridge.clock import CHINA
from reader_bridge.journal import Entry, EntryState, Verdict

UPLOAD_PATH: Final = "/v1/terminal/offline-sales"
SALES_MAX: Final = 100  # in one request
UPLOAD_BYTES_MAX: Final = 60 * 1024  # the backend takes bodies of 64 KiB
_ENVELOPE_BYTES: Final = 64  # {"incarnation":"0123456789abcdef","sales":[]}
_CHAIN_BYTES: Final = 80  # ,"chain":"64 digits" and a comma
_CODE_CHARACTERS_MAX: Final = 64
_DETAIL_CHARACTERS_MAX: Final = 500
_STATES: Final[Mapping[str, EntryState]] = {
    "captured": EntryState.CAPTURED,
    "refused": EntryState.REFUSED,
}


@dataclass(frozen=True, slots=True)
class OfflineSale:
    """One item of an upload but for its chain. `proof` is the kernel's: JSON without floats."""

    payment_id: str
    terminal_counter: int
    amount_fen: int
    accepted_at: int  # unix seconds
    profile_version: int
    mode: str  # shop | bus | gate | parking | bicycle | clinic | loading
    proof: Mapping[str, Any]
    fare: Mapping[str, Any] | None = None  # kept by the backend, not read


def sale_body(sale: OfflineSale) -> bytes:
    """The bytes that the journal keeps and chains, in the one form that `canonical` gives."""
    moment = datetime.fromtimestamp(sale.accepted_at, UTC).astimezone(CHINA)
    fare = {} if sale.fare is None else {"fare": dict(sale.fare)}
    return canonical(
        {
            **fare,
            "payment_id": sale.payment_id,
            "terminal_counter": sale.terminal_counter,
            "amount_fen": sale.amount_fen,
            "accepted_at": moment.isoformat(),
            "profile_version": sale.profile_version,
            "mode": sale.mode,
            "proof": dict(sale.proof),
        }
    )


def canonical(document: Mapping[str, Any]) -> bytes:
    """UTF-8, members sorted by name, no spaces: who has the item can make these bytes again.

    The chain of an item is SHA-256 over the chain before it and `canonical` of the item without
    its member `chain`.
    """
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def is_sendable(entry: Entry) -> bool:
    """False for a body that is no JSON object: nothing that our kernels make."""
    try:
        return isinstance(json.loads(entry.body), dict)
    except ValueError:
        return False


def fitting(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The first of them, as many as one request may hold; at least one."""
    size_bytes = _ENVELOPE_BYTES
    for number, entry in enumerate(entries[:SALES_MAX]):
        size_bytes += len(entry.body) + _CHAIN_BYTES
        if number and size_bytes > UPLOAD_BYTES_MAX:
            return entries[:number]
    return entries[:SALES_MAX]


def upload_of(incarnation: str, entries: Sequence[Entry]) -> bytes:
    """The body of one request. Raises ValueError for an entry without a chain."""
    sales = []
    for entry in entries:
        if entry.chain is None:
            raise ValueError(f"{entry.draft.entry_id} was never accepted")
        sales.append({**json.loads(entry.body), "chain": entry.chain.hex()})
    return canonical({"incarnation": incarnation, "sales": sales})


def verdicts_of(answer: Mapping[str, Any], entries: Sequence[Entry]) -> tuple[Verdict, ...]:
    """What the answer says about these entries, in its order; the first word about each.

    What it says about others, or in words we do not know, is no verdict.
    """
    amounts_fen = {entry.draft.entry_id: entry.draft.amount_fen for entry in entries}
    verdicts: dict[str, Verdict] = {}
    for result in _results(answer):
        payment_id, state = result.get("payment_id"), _STATES.get(str(result.get("state")))
        if isinstance(payment_id, str) and payment_id in amounts_fen and state is not None:
            kept = _kept(result, state, amounts_fen[payment_id])
            verdicts.setdefault(payment_id, Verdict(payment_id, state, kept))
    return tuple(verdicts.values())


def _results(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    results = answer.get("results")
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict):
            yield result


def _kept(result: Mapping[str, Any], state: EntryState, amount_fen: int) -> Mapping[str, Any]:
    """The members that receipts and pages read, each of the type they expect."""
    balance_fen = result.get("balance_fen")
    known = {}
    if isinstance(balance_fen, int) and not isinstance(balance_fen, bool):
        known["balance_fen"] = balance_fen
    if state is EntryState.REFUSED:
        code = str(result.get("code") or "refused")[:_CODE_CHARACTERS_MAX]
        detail = str(result.get("detail") or code)[:_DETAIL_CHARACTERS_MAX]
        return {"code": code, "detail": detail, "retryable": False, "data": known}
    facts = {"payment_id": result["payment_id"], "state": state.value, "amount_fen": amount_fen}
    return {**facts, **known}
