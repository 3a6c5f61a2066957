"""Configuration: what the machine may set, and one clear line for what it may not."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from backend.config import ConfigInvalid, load_config
from backend.db import Which


def test_defaults_are_three_sqlite_files_under_var(tmp_path: Path) -> None:
    config = load_config({"CITY_VAR": str(tmp_path)})
    assert config.is_sqlite
    assert config.database_urls[Which.LEDGER] == f"sqlite:///{tmp_path / 'ledger.db'}"
    assert (config.public_port, config.internal_port) == (8080, 8081)


def test_one_database_may_move_alone(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ledger@db/ledger"
    config = load_config({"CITY_VAR": str(tmp_path), "CITY_LEDGER_DATABASE": url})
    assert config.database_urls[Which.LEDGER] == url
    assert config.database_urls[Which.IDENTITY].startswith("sqlite:///")
    assert not config.is_sqlite


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "http", "8080.0", "８０８０"])
def test_a_port_is_a_port(port: str) -> None:
    with pytest.raises(ConfigInvalid, match="CITY_PUBLIC_PORT"):
        load_config({"CITY_PUBLIC_PORT": port})


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"none\.toml is missing"):
        load_config({"CITY_CONFIG": str(tmp_path / "none.toml")})
    broken = tmp_path / "city.toml"
    broken.write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load_config({"CITY_CONFIG": str(broken)})
    broken.write_text("", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=r"says nothing of city, brand, .*sandbox"):
        load_config({"CITY_CONFIG": str(broken)})


def test_the_newest_limit_counts() -> None:
    rows = [(2012, 500000), (2030, 800000), (2020, 600000)]
    text = "".join(
        f'[[limits]]\nrule = "most"\naccount_class = "registered"\nperiod = "balance"\n'
        f"amount_max_fen = {fen}\neffective_from = {year}-01-01\n"
        f'article = {{ zh = "一", en = "1" }}\n'
        for year, fen in rows
    )
    limits = replace(load_config({}), city=tomllib.loads(text)).limits()

    def most_fen(account_class: str, day: date) -> int | None:
        found = limits.ceiling(account_class, day)
        return found.amount_max_fen if found else None

    assert most_fen("registered", date(2026, 11, 23)) == 600000
    assert most_fen("registered", date(2031, 1, 1)) == 800000
    assert most_fen("unregistered", date(2026, 11, 23)) is None
    assert most_fen("registered", date(2000, 1, 1)) is None
