"""What tests of ride and identity codes share: people, a verifier, codes made as a phone does."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from card_world import Phone, World

from backend.kernel import new_id
from backend.virtual_card import Card
from backend.virtual_card.codes import (
    Codes,
    IdentityRelease,
    RegisterVerifier,
    ReleaseIdentity,
    open_codes,
)
from card_protocol.identity_code import Claim, IdentityCode, IdentityPart, Purpose
from card_protocol.mobile_card import sign
from card_protocol.ride_code import show

MERCHANT = "mer_library"
SECRET_NAME = "欧阳某某"


@dataclass(frozen=True)
class Shown:
    registered: bool = True
    phone_masked: str = "138****0001"
    name_masked: str | None = "欧***"
    id_number_masked: str | None = "6401**********0015"


class People:
    def get_person(self, person_id: str) -> Shown:
        return Shown()

    def get_name(self, person_id: str) -> str:
        return SECRET_NAME


@dataclass
class CodesWorld:
    world: World
    codes: Codes = field(init=False)

    def __post_init__(self) -> None:
        self.codes = open_codes(self.world.units, self.world.keys, People(), lambda _: None)

    def register(self, operation: Any, **changes: Any) -> Any:
        values = {
            "merchant_id": MERCHANT,
            "purposes": ("library", "counter"),
            "claims": ("registered", "name_masked", "name"),
            "staff_id": "stf_1",
        }
        return self.codes.verifiers.register(RegisterVerifier(**{**values, **changes}), operation)

    def release(self, content: str) -> IdentityRelease:
        wanted = ReleaseIdentity(MERCHANT, "mcl_1", new_id("idq"), content)
        return self.codes.identities.release(wanted)

    def ride(self, phone: Phone, card: Card, at: int | None = None) -> bytes:
        part = self.codes.rides.issue(self.world.person_id, card.token_id).content
        now = self.world.unix if at is None else at
        return show(part, now, lambda data: sign(phone.signing, data))

    def identity(
        self,
        phone: Phone,
        card: Card,
        *,
        claims: Claim = Claim.NAME | Claim.REGISTERED,
        purpose: Purpose = Purpose.LIBRARY,
        at: int | None = None,
    ) -> str:
        part = self.codes.identities.issue(self.world.person_id, card.token_id).content
        code = IdentityCode(
            part=IdentityPart.decode(part),
            purpose=purpose,
            claims=claims,
            generated_at=self.world.unix if at is None else at,
            nonce=secrets.token_bytes(8),
        )
        return code.signed_by(lambda data: sign(phone.signing, data)).encode()
