"""What a city sets: `city.toml` for the city, the environment for the machine it runs on."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from backend.db import Which

ROOT = Path(__file__).parent.parent
NEEDED = (
    "city",
    "brand",
    "phone_lines",
    "products",
    "applications",
    "limits",
    "topups",
    "payments",
    "limited_use_keys",
    "certificate",
    "login",
    "sandbox",
)


class ConfigInvalid(Exception):
    """A setting is missing or wrong: told to the operator in one line."""


@dataclass(frozen=True, slots=True)
class Config:
    """`city` is the parsed city.toml; `var` holds everything that changes."""

    city: Mapping[str, Any]
    city_folder: Path
    var: Path
    database_urls: Mapping[Which, str]
    public_port: int
    internal_port: int

    @property
    def is_sqlite(self) -> bool:
        return all(url.startswith("sqlite") for url in self.database_urls.values())

    @property
    def story_path(self) -> Path:
        """Where the story leaves its result."""
        return self.var / "story.json"

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.public_port}"

    @property
    def internal_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}"

    @staticmethod
    def path_of(url: str) -> Path:
        """The file of a SQLite URL."""
        return Path(url.removeprefix("sqlite:///"))

    def limit(self, account_class: str, *, on: date) -> Mapping[str, Any]:
        """The limit of an account class that holds on a day. Raises ConfigInvalid for none."""
        rows = [
            one
            for one in self.city["limits"]
            if one["account_class"] == account_class and one["effective_from"] <= on
        ]
        if not rows:
            raise ConfigInvalid(f"city.toml: no [[limits]] for {account_class} on {on}")
        newest: Mapping[str, Any] = max(rows, key=lambda one: one["effective_from"])
        return newest


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """The configuration from CITY_* variables and the file they name.

    CITY_CONFIG (default city.toml), CITY_VAR (var), CITY_IDENTITY_DATABASE,
    CITY_BUSINESS_DATABASE, CITY_LEDGER_DATABASE (default SQLite under var),
    CITY_PUBLIC_PORT (8080), CITY_INTERNAL_PORT (8081). Raises ConfigInvalid.
    """
    values = os.environ if environment is None else environment
    path = Path(values.get("CITY_CONFIG", ROOT / "city.toml"))
    var = Path(values.get("CITY_VAR", ROOT / "var")).resolve()
    return Config(
        city=_read(path),
        city_folder=path.resolve().parent,
        var=var,
        database_urls={
            which: values.get(f"CITY_{which.name}_DATABASE", f"sqlite:///{var / which.value}.db")
            for which in Which
        },
        public_port=_port(values, "CITY_PUBLIC_PORT", 8080),
        internal_port=_port(values, "CITY_INTERNAL_PORT", 8081),
    )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        city = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigInvalid(f"configuration: {path} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"configuration: {path} cannot be read: {error}") from None
    if missing := [name for name in NEEDED if name not in city]:
        raise ConfigInvalid(f"configuration: {path} says nothing of {', '.join(missing)}")
    if not city["sandbox"].get("enabled", False):
        raise ConfigInvalid(
            f"configuration: {path} switches the sandbox off, and this version knows no other bank"
        )
    return city


def _port(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise ConfigInvalid(f"configuration: {name} must be a port, not {text!r}")
    return int(text)
