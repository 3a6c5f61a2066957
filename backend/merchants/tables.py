"""Rows of merchants, shops and their clients (database: business); the model's laws said again.

Merchants, shops, clients and codes are few and joined on every payment: on Citus they are
reference tables, where any unique constraint holds. Assertions are distributed by client.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from backend.db import Utc, business_metadata

REFERENCE: dict[str, Any] = {"citus": "reference"}

merchant = Table(
    "merchant",
    business_metadata,
    Column("merchant_id", String(64), primary_key=True),
    Column("merchant_number", String(15), nullable=False),
    Column("name", String(60), nullable=False),
    Column("name_en", String(25), nullable=False),
    Column("mcc", String(4), nullable=False),
    Column("city", String(30), nullable=False),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("merchant_number"),
    CheckConstraint("length(merchant_number) = 15", name="merchant_number_length"),
    CheckConstraint("length(mcc) = 4", name="mcc_length"),
    info=REFERENCE,
)

shop = Table(
    "shop",
    business_metadata,
    Column("shop_id", String(64), primary_key=True),
    Column("merchant_id", String(64), ForeignKey("merchant.merchant_id"), nullable=False),
    Column("shop_number", String(8), nullable=False),
    Column("name", String(60), nullable=False),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("shop_number"),
    CheckConstraint("length(shop_number) = 8", name="shop_number_length"),
    Index(None, "merchant_id"),
    info=REFERENCE,
)

client = Table(
    "merchant_client",
    business_metadata,
    Column("client_id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("merchant_id", String(64), ForeignKey("merchant.merchant_id"), nullable=False),
    Column("shop_id", String(64), ForeignKey("shop.shop_id")),
    Column("terminal_number", String(8)),
    Column("label", String(60), nullable=False),
    Column("state", String(16), nullable=False),
    Column("code_serial", Integer, nullable=False),  # of the newest activation code
    Column("public_key", LargeBinary(33)),  # SEC1 compressed
    Column("created_at", Utc, nullable=False),
    Column("activated_at", Utc),
    UniqueConstraint("terminal_number"),
    CheckConstraint("kind IN ('terminal', 'merchant')", name="kind"),
    CheckConstraint("state IN ('ordered', 'active', 'suspended', 'closed')", name="state"),
    CheckConstraint(
        "(kind = 'terminal') = (shop_id IS NOT NULL)"
        " AND (shop_id IS NULL) = (terminal_number IS NULL)",
        name="terminal_has_shop_and_number",
    ),
    CheckConstraint(
        "state IN ('ordered', 'closed') OR public_key IS NOT NULL", name="active_has_key"
    ),
    CheckConstraint("(public_key IS NULL) = (activated_at IS NULL)", name="key_has_moment"),
    CheckConstraint("length(terminal_number) = 8", name="terminal_number_length"),
    Index(None, "shop_id"),
    info=REFERENCE,
)

activation_code = Table(
    "activation_code",
    business_metadata,
    Column("code_mac", String(64), primary_key=True),  # the code itself is stored nowhere
    Column("client_id", String(64), ForeignKey("merchant_client.client_id"), nullable=False),
    Column("serial", Integer, nullable=False),
    Column("issued_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("used_by", String(43)),  # thumbprint of the key that was let in
    Column("device_label", String(60)),  # what the device calls itself
    UniqueConstraint("client_id", "serial"),
    CheckConstraint("(used_at IS NULL) = (used_by IS NULL)", name="used_by_somebody"),
    info=REFERENCE,
)

profile = Table(  # what a terminal is told: which kind was chosen, and how often it changed
    "terminal_profile",
    business_metadata,
    Column("client_id", String(64), ForeignKey("merchant_client.client_id"), primary_key=True),
    Column("profile_code", String(32), nullable=False),
    Column("version", Integer, nullable=False),  # 0: not yet asked for
    Column("digest", String(64)),  # SHA-256 of what the version says
    Column("changed_at", Utc, nullable=False),
    Column("line", String(4), nullable=False, server_default="0000"),  # hexadecimal
    Column("station", String(4), nullable=False, server_default="0000"),
    Column("direction", String(3)),
    CheckConstraint("(version > 0) = (digest IS NOT NULL)", name="version_has_digest"),
    CheckConstraint("length(line) = 4", name="line_length"),
    CheckConstraint("length(station) = 4", name="station_length"),
    CheckConstraint("direction IN ('in', 'out')", name="direction"),
    info=REFERENCE,
)

assertion = Table(
    "client_assertion",
    business_metadata,
    Column("client_id", String(64), primary_key=True),
    Column("jti", String(128), primary_key=True),
    Column("expires_at", Utc, nullable=False),
    info={"citus": "client_id"},
)
