"""A citizen's backend whose city issues cards of the SM suite; else the fake one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from card_protocol import sm2
from card_protocol.certificate import Certificate
from card_protocol.device_keys import is_proven
from card_protocol.signatures import Suite, compressed_point
from sdk_mobile.shapes import b64u, from_b64u
from tests.sdk_mobile.fake_backend import Refusal, Reply, Seen
from tests.sdk_mobile.fake_server import ServedBackend


@dataclass
class SmBackend(ServedBackend):
    """`suite` is what the product has now. `sm2_keys`: device -> SEC1 point, told and proven."""

    suite: Suite = Suite.SM4_SM2
    sm2_keys: dict[str, bytes] = field(default_factory=dict)
    sm_issuer: sm2.PrivateKey = field(default_factory=sm2.PrivateKey.generate)

    def _route(self, seen: Seen, path: str) -> Reply:
        if seen.method == "POST" and path.endswith("/sm2-key"):
            return self._add(json.loads(seen.body), path)
        return super()._route(seen, path)

    def _enrol(self, body: dict[str, Any]) -> Reply:
        status, device = super()._enrol(body)
        if body.get("sm2"):
            self._take(body["device_id"], body["sm2"])
        return status, self._told(device)

    def _add(self, body: dict[str, Any], path: str) -> Reply:
        device_id = path.split("/")[-2]
        held = self.devices[device_id]
        assert self._check_proof(body["proof"], held["signing"], path) == device_id
        self.done["sm2"] += 1
        self._take(device_id, body["sm2"])
        return 200, self._told(held["device"])

    def _take(self, device_id: str, given: dict[str, Any]) -> None:
        key = given["signing_key"]
        assert (key["kty"], key["crv"]) == ("EC", "SM2")
        point = sm2.compressed(b"\x04" + from_b64u(key["x"]) + from_b64u(key["y"]))
        own = compressed_point(self.devices[device_id]["signing"])
        if not is_proven(device_id, own, point, from_b64u(given["proof"])):
            raise Refusal(401, "proof_invalid")
        if self.sm2_keys.setdefault(device_id, point) != point:
            raise Refusal(409, "device_key_exists")

    def _told(self, device: dict[str, Any]) -> dict[str, Any]:
        return {**device, "suites": [1, 2] if device["device_id"] in self.sm2_keys else [1]}

    def _cards(self, seen: Seen, body: dict[str, Any], rest: list[str]) -> Reply:
        if rest[1:] == ["moves"]:
            return 201, self._provision({**body, "token_id": body["new_token_id"], **MOVED})
        return super()._cards(seen, body, rest)

    def _provision(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.suite is Suite.AES_ES256:
            return super()._provision(body)
        point = self.sm2_keys.get(body["device_id"])
        if point is None:
            raise Refusal(409, "device_key_missing", suite="sm4_sm2")
        super()._provision(body)
        card = self.cards[body["token_id"]]
        certificate = Certificate.decode(from_b64u(card["certificate"]))
        in_suite = replace(certificate, device_public_key=point, suite=self.suite)
        card["certificate"] = b64u(in_suite.signed_by(self.sm_issuer.sign).encode())
        card["suite"] = int(self.suite)
        return {**card, "keys": self._keys(card)}

    def _keys(self, card: dict[str, Any]) -> dict[str, Any]:
        return {**super()._keys(card), "suite": card.get("suite", 1)}


MOVED = {"product": "phone_card", "wallet_id": "wal_moved"}
