"""An export written by hand from docs/protocol/journal-export.md, with no code of the backend."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOON = "2026-11-23T04:00:00.000000Z"
FILES = ("accounts.jsonl", "postings.jsonl", "segments.jsonl", "strays.jsonl", "head.json")
KEY = ec.generate_private_key(ec.SECP256R1())


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def jwk(key: ec.EllipticCurvePrivateKey = KEY) -> dict[str, str]:
    """RFC 7517 and RFC 7638, written a second time."""
    numbers = key.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")
        for number in (numbers.x, numbers.y)
    )
    members = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    name = base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).decode()
    return {**json.loads(members), "kid": name.rstrip("=")}


@dataclass
class Export:
    """An export by hand: a bank pays a wallet 100 fen in each segment; the last is unsealed."""

    segments: int = 3
    key: ec.EllipticCurvePrivateKey = KEY
    accounts: list[dict[str, Any]] = field(default_factory=list)
    postings: list[list[Any]] = field(default_factory=list)
    seals: list[dict[str, Any]] = field(default_factory=list)
    strays: list[dict[str, Any]] = field(default_factory=list)
    head: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in range(1, self.segments + 1):
            self.postings.append(self.posting(number))
            if number < self.segments:
                self.seal(number)
        total_fen = 100 * self.segments
        self.accounts += [
            self.account("bank", "debit", debits_posted=total_fen),
            self.account("wal_a", "credit", credits_posted=total_fen),
        ]
        names = ("number", "segment_hash", "sealed_at")
        self.head = {
            "form": "journal/1",
            "exported_at": NOON,
            "accounts": 2,
            "postings": self.segments,
            "unsealed_postings": 1,
            "open_segment": self.segments,
            "newest_segment": (
                {name: self.seals[-1][name] for name in names} if self.seals else None
            ),
            "keys": [jwk(self.key)],
        }

    def posting(self, number: int) -> list[Any]:
        entries = ["bank", number, 100 * number, "wal_a", number, 100 * number]
        days = ["2026-11-23", NOON]
        return [
            *("posting/1", number, f"top_{number}", 0),
            *entries,
            *(100, "top_up", None, "备注", *days),
        ]

    def account(self, account_id: str, side: str, **figures: int) -> dict[str, Any]:
        zero = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
        row = {"account_id": account_id, "kind": "k", "account_class": None, "side": side}
        row |= {"state": "open", "floor_fen": 0, "lines": self.segments, **dict.fromkeys(zero, 0)}
        return row | figures

    def seal(self, number: int) -> None:
        previous = bytes.fromhex(self.seals[-1]["segment_hash"]) if self.seals else bytes(32)
        lines = [compact(one).encode() for one in self.postings if one[1] == number]
        leaves = b"".join(hashlib.sha256(line).digest()[:16] for line in lines)
        counts = number.to_bytes(8, "big") + len(lines).to_bytes(8, "big")
        made = hashlib.sha256(b"segment/1" + counts + previous + leaves).digest()
        r, s = decode_dss_signature(self.key.sign(made, ec.ECDSA(hashes.SHA256())))
        self.seals.append(
            {
                "number": number,
                "postings": len(lines),
                "previous_hash": previous.hex(),
                "leaves": leaves.hex(),
                "segment_hash": made.hex(),
                "key_id": jwk(self.key)["kid"],
                "signature": (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex(),
                "sealed_at": NOON,
            }
        )

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        groups: tuple[list[Any], ...] = (
            *(self.accounts, self.postings, self.seals, self.strays),
            [self.head],
        )
        for name, lines in zip(FILES, groups, strict=True):
            (folder / name).write_text("".join(compact(line) + "\n" for line in lines), "utf-8")
        return folder
