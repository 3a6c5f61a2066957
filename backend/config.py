"""What a city sets: `city.toml` for the city, the environment for the machine it runs on."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.db import Which
from backend.kernel import Words
from backend.keys.settings import KeySettingInvalid, KeySettings
from backend.wallet.ledger.limits import Limit, LimitInvalid, Limits, Period
from backend.wallet.life.model import RedemptionTerms

ROOT = Path(__file__).parent.parent
REDEMPTION_MAX = {"months_min": 1200, "unregistered_below_fen": 10**9}
NEEDED = (
    "city",
    "brand",
    "phone_lines",
    "products",
    "applications",
    "limits",
    "topups",
    "redemption",
    "payments",
    "limited_use_keys",
    "certificate",
    "attestation",
    "provisioning",
    "ride_codes",
    "login",
    "rates",
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
    keys: KeySettings = field(default_factory=KeySettings)

    @property
    def key_files(self) -> tuple[Path, Path]:
        """The keystore, and the key-encryption key it opens with."""
        folder = self.var / "keys"
        return folder / "keystore.json", self.keys.kek_file or folder / "kek"

    @property
    def is_sqlite(self) -> bool:
        return all(url.startswith("sqlite") for url in self.database_urls.values())

    @property
    def story_path(self) -> Path:
        """Where the story leaves its result."""
        return self.var / "story.json"

    @property
    def vendor_key_path(self) -> Path:
        """The sandbox vendor's private key, with which the sandbox's phones attest themselves."""
        return self.var / "sandbox_vendor.pem"

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

    def limits(self) -> Limits:
        """All limits of the city, checked. Raises ConfigInvalid, naming the entry."""
        rows = self.city["limits"]
        entries = [_limit(number, row) for number, row in enumerate(rows, start=1)]
        try:
            return Limits(entries)
        except LimitInvalid as error:
            raise ConfigInvalid(f"city.toml: {error}") from None

    def redemption(self) -> RedemptionTerms:
        """When money may be redeemed. Raises ConfigInvalid, naming the setting."""
        table = self.city["redemption"]
        figures = {name: table.get(name) for name in REDEMPTION_MAX}
        for name, maximum in REDEMPTION_MAX.items():
            if type(figures[name]) is not int or not 0 <= figures[name] <= maximum:
                where = f"city.toml: [redemption] {name}"
                raise ConfigInvalid(f"{where} must be a whole number from 0 to {maximum}")
        articles = {}
        for name in ("article", "unregistered_article"):
            texts = table.get(name)
            if not isinstance(texts, Mapping) or set(texts) != {"zh", "en"}:
                raise ConfigInvalid(f"city.toml: [redemption] {name} must be given in zh and en")
            articles[name] = Words(zh=texts["zh"], en=texts["en"])
        return RedemptionTerms(
            months_min=figures["months_min"],
            article=articles["article"],
            unregistered_below_fen=figures["unregistered_below_fen"],
            unregistered_article=articles["unregistered_article"],
        )


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """The configuration from CITY_* variables and the file they name.

    CITY_CONFIG (default city.toml), CITY_VAR (var), CITY_IDENTITY_DATABASE,
    CITY_BUSINESS_DATABASE, CITY_LEDGER_DATABASE (default SQLite under var),
    CITY_PUBLIC_PORT (8080), CITY_INTERNAL_PORT (8081), and what `KeySettings.load` reads. Raises
    ConfigInvalid.
    """
    values = os.environ if environment is None else environment
    path = Path(values.get("CITY_CONFIG", ROOT / "city.toml"))
    var = Path(values.get("CITY_VAR", ROOT / "var")).resolve()
    try:
        keys = KeySettings.load(values)
    except KeySettingInvalid as error:
        raise ConfigInvalid(str(error)) from None
    return Config(
        keys=keys,
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


LIMIT_NEEDED = frozenset({"rule", "account_class", "period", "effective_from", "article"})
LIMIT_FIELDS = LIMIT_NEEDED | {"counter", "amount_max_fen", "times_max"}


def _limit(number: int, row: object) -> Limit:
    if not isinstance(row, Mapping):
        raise ConfigInvalid(f"city.toml: [[limits]] number {number} is no table")
    where = f"city.toml: [[limits]] number {number} ({row.get('rule')!r})"
    if missing := sorted(LIMIT_NEEDED - set(row)):
        raise ConfigInvalid(f"{where} says nothing of {', '.join(missing)}")
    if unknown := sorted(set(row) - LIMIT_FIELDS):
        raise ConfigInvalid(f"{where}: no such setting: {', '.join(unknown)}")
    article = row["article"]
    if not isinstance(article, Mapping) or set(article) != {"zh", "en"}:
        raise ConfigInvalid(f"{where}: article must be given in zh and en")
    try:
        period = Period(row["period"])
    except ValueError:
        known = ", ".join(one.value for one in Period)
        raise ConfigInvalid(f"{where}: period must be one of {known}") from None
    return Limit(
        rule=row["rule"],
        account_class=row["account_class"],
        counter=row.get("counter"),
        period=period,
        amount_max_fen=row.get("amount_max_fen"),
        times_max=row.get("times_max"),
        effective_from=row["effective_from"],
        article=Words(zh=article["zh"], en=article["en"]),
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
