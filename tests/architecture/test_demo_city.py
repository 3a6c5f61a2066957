"""The demo city holds together: valid check digits, unique ids, both languages, nobody real."""

from __future__ import annotations

import csv
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyotp
import pytest
from typeid import TypeID

ROOT = Path(__file__).resolve().parents[2]
CITY = tomllib.loads((ROOT / "city.toml").read_text(encoding="utf-8"))
MERCHANTS = tomllib.loads((ROOT / "data/demo/merchants.toml").read_text(encoding="utf-8"))[
    "merchants"
]
with (ROOT / "data/demo/persons.csv").open(encoding="utf-8", newline="") as file:
    PERSONS = list(csv.DictReader(file))
# GB 11643: weights of the first 17 digits, and the check digit by remainder modulo 11.
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"


def check_digit(first_17: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(first_17, WEIGHTS, strict=True))
    return CHECK_DIGITS[total % 11]


def test_check_digit_by_the_standards_own_example() -> None:
    assert check_digit("11010519491231002") == "X"


@pytest.mark.parametrize("person", PERSONS, ids=lambda person: person["phone"])
def test_a_person(person: dict[str, str]) -> None:
    number = person["id_number"]
    assert len(number) == 18
    assert check_digit(number[:17]) == number[17]
    born = date.fromisoformat(f"{number[6:10]}-{number[10:12]}-{number[12:14]}")
    assert date(1920, 1, 1) < born < date(2026, 1, 1)
    assert len(person["phone"]) == 11
    assert person["phone"].isdecimal()
    assert person["phone"].startswith("1")
    assert person["local_household"] in {"yes", "no"}
    assert person["name"].strip() == person["name"] != ""


@pytest.mark.parametrize("column", ["id_number", "phone", "name"])
def test_persons_are_distinct(column: str) -> None:
    assert len({person[column] for person in PERSONS}) == len(PERSONS) >= 20


def test_no_person_can_be_real() -> None:
    """Goal: GB/T 2260 has no division beginning with 99."""
    assert {person["id_number"][:6] for person in PERSONS} == {"999901"}


def test_both_kinds_of_household_are_there() -> None:
    kinds = Counter(person["local_household"] for person in PERSONS)
    assert kinds["yes"] > kinds["no"] > 0


def merchant_ids() -> Iterator[tuple[str, str]]:
    for merchant in MERCHANTS:
        yield "mer", merchant["merchant_id"]
        for shop in merchant["shops"]:
            yield "shp", shop["shop_id"]
            for terminal in shop["terminals"]:
                yield "trm", terminal["terminal_id"]


def test_ids_are_typeids_used_once() -> None:
    ids = list(merchant_ids())
    assert {prefix for prefix, _ in ids} == {"mer", "shp", "trm"}
    for prefix, text in ids:
        assert TypeID.from_string(text).prefix == prefix
    assert len({text for _, text in ids}) == len(ids)


def test_merchant_category_codes() -> None:
    for merchant in MERCHANTS:
        assert merchant["mcc"].isdecimal()
        assert len(merchant["mcc"]) == 4


def texts(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Every table that is a text in languages, with where it stands."""
    if isinstance(value, dict):
        if {"zh", "en"} & set(value):
            yield path, value
        else:
            for key, inner in value.items():
                yield from texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts(inner, f"{path}[{number}]")


TEXTS = list(texts(CITY, "city")) + list(texts(MERCHANTS, "merchants"))


@pytest.mark.parametrize("text", [text for _, text in TEXTS], ids=[path for path, _ in TEXTS])
def test_each_text_is_in_both_languages(text: dict[str, str]) -> None:
    assert set(text) == {"zh", "en"}
    assert any("\u4e00" <= letter <= "\u9fff" for letter in text["zh"])
    assert text["en"].isascii() or "–" in text["en"]


def test_limits_are_those_of_the_money_page() -> None:
    balances = [limit for limit in CITY["limits"] if limit["rule"].endswith("registered_balance")]
    ceilings = {limit["account_class"]: limit["amount_max_fen"] for limit in balances}
    assert ceilings == {"registered": 500_000, "unregistered": 100_000}
    for limit in balances:
        assert isinstance(limit["effective_from"], date)
        assert limit["article"]["zh"].startswith("支付机构预付卡业务管理办法")


def test_every_amount_is_whole_fen() -> None:
    def amounts(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key.endswith("_fen"):
                    yield inner
                else:
                    yield from amounts(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from amounts(inner)

    found = list(amounts(CITY))
    assert found
    assert all(type(amount) is int and amount >= 0 for amount in found)


def test_products_name_known_applications() -> None:
    assert [product["code"] for product in CITY["products"]] == [
        "main_card",
        "secondary_card",
        "phone_card",
    ]
    for product in CITY["products"]:
        assert set(product["applications"]) <= set(CITY["applications"])
        assert len(product["code"]) <= 16  # the certificate's field
        if product["carrier"] == "phone":
            assert "epurse" not in product["applications"]
    for application in CITY["applications"].values():
        assert 5 <= len(bytes.fromhex(application["aid"])) <= 16  # ISO 7816-4


def test_demo_logins_work_and_say_what_they_are() -> None:
    for staff in CITY["demo_staff"]:
        assert "demo" in staff["password"]
        assert pyotp.TOTP(staff["totp_secret"]).verify(pyotp.TOTP(staff["totp_secret"]).now())


def test_data_files_exist() -> None:
    for path in CITY["demo_data"].values():
        assert (ROOT / path).is_file()
