"""The bytes of a load's three requests, and what their answers say. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from card_protocol.errors import MalformedBytes
from reader_bridge.kernels.epurse import LoadAuthorisation, LoadRequest
from reader_bridge.loads.values import Funding, LoadStage

LOADS_PATH: Final = "/v1/terminal/loads"
UNASKED: Final = LoadAuthorisation(bytes(4), bytes(7))  # in place of the issuer's word
_STAGES: Final[Mapping[str, LoadStage]] = {
    "begun": LoadStage.PAID,
    "written": LoadStage.CONFIRMED,
    "returned": LoadStage.RETURNED,
}


def begin_body(
    load_id: str, request: LoadRequest, funding: Funding, proof: Mapping[str, Any] | None
) -> bytes:
    """POST /v1/terminal/loads. `proof`: the holder's tap or pay code, for wallets only."""
    source: dict[str, Any] = {"kind": funding.value}
    if proof is not None:
        source["proof"] = dict(proof)
    facts = {
        "load_id": load_id,
        "purse_number": request.purse_number,
        "issuer_id": request.issuer_id.hex(),
        "source": source,
    }
    return _json({**facts, **_asked(request)})


def returned_body(evidence: LoadRequest) -> bytes:
    """POST …/returned: a later INITIALIZE FOR LOAD of the same card."""
    return _json({"evidence": _asked(evidence)})


def written_body(tac: bytes) -> bytes:
    """POST …/written."""
    return _json({"tac": tac.hex()})


def stage_of(load_id: str, amount_fen: int, answer: Mapping[str, Any]) -> LoadStage | None:
    """How the backend says it stands; None when the answer does not speak of this very load."""
    if (answer.get("load_id"), answer.get("amount_fen")) != (load_id, amount_fen):
        return None
    return _STAGES.get(str(answer.get("state")))


def authorisation_of(answer: Mapping[str, Any]) -> LoadAuthorisation | None:
    """MAC2 and the moment it covers; None where there is none that can be used."""
    try:
        mac2, moment = (bytes.fromhex(answer[name]) for name in ("mac2", "transaction_time"))
        return LoadAuthorisation(mac2, moment)
    except (KeyError, TypeError, ValueError, MalformedBytes):
        return None


def _asked(request: LoadRequest) -> dict[str, Any]:
    return {
        "amount_fen": request.amount_fen,
        "terminal_number": request.terminal_number.hex(),
        "init": {
            "old_balance_fen": request.balance_before_fen,
            "load_counter": request.load_counter,
            "key_version": request.key_version,
            "suite": request.suite,
            "random": request.random.hex(),
            "mac1": request.mac1.hex(),
        },
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
