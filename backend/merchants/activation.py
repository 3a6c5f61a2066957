"""A device shows an activation code and its key, and becomes a terminal or a merchant's server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from sqlalchemy import Row, select, update

from backend.db import Units, Which, Work
from backend.keys import KeyRef, Keys, key_thumbprint
from backend.merchants import tables
from backend.merchants.errors import (
    ActivationCodeExpired,
    ActivationCodeUnknown,
    ActivationCodeUsed,
)
from backend.merchants.model import Activated, ClientKind, code_characters
from backend.merchants.rows import locked_client
from backend.merchants.service import code_mac
from backend.merchants.states import Event, State, advance
from card_protocol.signatures import compressed_point


@dataclass(frozen=True, slots=True)
class Activate:
    activation_code: str  # as typed
    public_key: EllipticCurvePublicKey
    label: str


@dataclass(frozen=True, slots=True)
class Activations:
    """One command; code and key together are its id, so nothing more is kept of the answer."""

    units: Units
    keys: Keys

    def activate(self, command: Activate) -> Activated:
        """Let the key in; the same code and key again gets the same answer.

        Raises ActivationCodeUnknown, ActivationCodeUsed, ActivationCodeExpired,
        TerminalTransitionRefused.
        """
        mac = code_mac(self.keys, code_characters(command.activation_code))
        thumbprint = key_thumbprint(command.public_key)
        with self.units.write(Which.BUSINESS) as work:
            # The client is locked first, as in every other command; then the code is read for good.
            row = locked_client(work, _get_code(work, mac).client_id)
            code = _get_code(work, mac)
            if code.used_at is None:
                _let_in(work, row, code, command, thumbprint)
            elif code.used_by != thumbprint:
                raise ActivationCodeUsed
            activated = _activated(work, code.client_id)
        pinned = self.keys.public_keys(KeyRef.TERMINAL_PROFILE)
        return replace(activated, profile_keys=tuple(pinned.values()))


def _let_in(
    work: Work, client: Row[Any], code: Row[Any], command: Activate, thumbprint: str
) -> None:
    if code.expires_at <= work.now:
        raise ActivationCodeExpired
    state = advance(State(client.state), Event.ACTIVATE)
    # After this line nothing may refuse.
    clients, codes = tables.client, tables.activation_code
    work.execute(
        update(clients)
        .where(clients.c.client_id == code.client_id)
        .values(
            state=state.value,
            public_key=compressed_point(command.public_key),
            activated_at=work.now,
        )
    )
    work.execute(
        update(codes)
        .where(codes.c.code_mac == code.code_mac)
        .values(used_at=work.now, used_by=thumbprint, device_label=command.label)
    )


def _get_code(work: Work, mac: str) -> Row[Any]:
    codes = tables.activation_code
    row = work.one(select(codes).where(codes.c.code_mac == mac))
    if row is None:
        raise ActivationCodeUnknown
    return row


def _activated(work: Work, client_id: str) -> Activated:
    clients, shops, owners = tables.client.c, tables.shop.c, tables.merchant.c
    row = work.connection.execute(
        select(
            clients.client_id,
            clients.kind,
            clients.merchant_id,
            owners.name.label("merchant_name"),
            clients.shop_id,
            shops.name.label("shop_name"),
            clients.terminal_number,
            owners.merchant_number,
        )
        .join(tables.merchant, owners.merchant_id == clients.merchant_id)
        .outerjoin(tables.shop, shops.shop_id == clients.shop_id)
        .where(clients.client_id == client_id)
    ).one()
    return Activated(
        client_id=row.client_id,
        kind=ClientKind(row.kind),
        merchant_id=row.merchant_id,
        merchant_name=row.merchant_name,
        shop_id=row.shop_id,
        shop_name=row.shop_name,
        terminal_number=row.terminal_number,
        merchant_number=row.merchant_number,
    )
