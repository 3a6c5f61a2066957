"""Loads the demo city's data files: fictional persons, merchants, shops, terminals, staff."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from typing import Any

from backend.app import Parts
from backend.config import Config
from backend.identity import read_base_records
from backend.merchants import AddMerchant, AddShop, AddTerminal


def load_demo(config: Config, parts: Parts) -> None:
    """Load what `[demo_data]` and `[[demo_staff]]` name; repeating it changes nothing."""
    files = config.city.get("demo_data")
    if files:
        _load_persons(config, parts, files["persons"])
        _load_merchants(config, parts, files["merchants"])
    for member in config.city.get("demo_staff", []):
        parts.staff_accounts.add(
            member["username"], member["password"], member["totp_secret"], member["roles"]
        )


def _load_persons(config: Config, parts: Parts, name: str) -> None:
    with (config.city_folder / name).open(encoding="utf-8", newline="") as file:
        parts.people.load_base_records(read_base_records(csv.DictReader(file)))


def _load_merchants(config: Config, parts: Parts, name: str) -> None:
    content = tomllib.loads((config.city_folder / name).read_text(encoding="utf-8"))
    for merchant in content["merchants"]:
        _load_merchant(parts, merchant)


def _load_merchant(parts: Parts, merchant: Mapping[str, Any]) -> None:
    parts.shops.add_merchant(
        AddMerchant(
            merchant_id=merchant["merchant_id"],
            name=merchant["name"]["zh"],
            name_en=merchant["name"]["en"],
            mcc=merchant["mcc"],
            city=merchant["city"]["zh"],
        )
    )
    for shop in merchant["shops"]:
        parts.shops.add_shop(AddShop(shop["shop_id"], merchant["merchant_id"], shop["name"]["zh"]))
        for terminal in shop["terminals"]:
            parts.shops.add_terminal(
                AddTerminal(terminal["terminal_id"], shop["shop_id"], terminal["label"]["zh"])
            )
