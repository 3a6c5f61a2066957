"""What an operator sets about keys: where they lie, and what opens them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.keys.port import KeyRef
from backend.keys.secret import Secret

SESSIONS_MAX = 64
SECRET_FILE_BYTES_MAX = 4096


class KeySettingInvalid(Exception):
    """A setting about keys is missing or wrong: one line for the operator."""


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A PKCS#11 token and how to log in to it."""

    module: Path
    label: str
    pin: Secret = field(repr=False)
    sessions: int = 8


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Nothing set: a software keystore that opens with its key file alone."""

    kek_file: Path | None = None
    passphrase: Secret | None = field(default=None, repr=False)
    token: TokenSettings | None = None
    in_software: frozenset[str] = frozenset()

    @classmethod
    def load(cls, values: Mapping[str, str]) -> KeySettings:
        """From CITY_KEK_FILE, CITY_KEYS_PASSPHRASE_FILE, CITY_PKCS11_MODULE, _TOKEN, _PIN_FILE,
        _SESSIONS (8) and CITY_KEYS_IN_SOFTWARE (algorithms, with commas).

        Passphrase and PIN come from files, which an environment is not. Raises KeySettingInvalid.
        """
        kek_file = values.get("CITY_KEK_FILE")
        passphrase = values.get("CITY_KEYS_PASSPHRASE_FILE")
        return cls(
            kek_file=Path(kek_file) if kek_file else None,
            passphrase=_secret_in("CITY_KEYS_PASSPHRASE_FILE", passphrase) if passphrase else None,
            token=_token(values),
            in_software=_algorithms(values.get("CITY_KEYS_IN_SOFTWARE", "")),
        )


def _token(values: Mapping[str, str]) -> TokenSettings | None:
    names = ("CITY_PKCS11_MODULE", "CITY_PKCS11_TOKEN", "CITY_PKCS11_PIN_FILE")
    text = values.get("CITY_PKCS11_SESSIONS", "8")
    given = [values.get(name) for name in names]
    if not any(given):
        return None
    if missing := [name for name, value in zip(names, given, strict=True) if not value]:
        raise KeySettingInvalid(f"configuration: a PKCS#11 token needs {', '.join(missing)} too")
    module, label, pin_file = (values[name] for name in names)
    if not Path(module).is_file():
        raise KeySettingInvalid(f"configuration: CITY_PKCS11_MODULE: {module} is missing")
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= SESSIONS_MAX:
        raise KeySettingInvalid(f"configuration: CITY_PKCS11_SESSIONS must be 1 to {SESSIONS_MAX}")
    pin = _secret_in("CITY_PKCS11_PIN_FILE", pin_file)
    return TokenSettings(Path(module), label, pin, int(text))


def _secret_in(name: str, path: str) -> Secret:
    """The first line of a file."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(SECRET_FILE_BYTES_MAX)
    except OSError as error:
        raise KeySettingInvalid(f"configuration: {name}: {path}: {error.strerror}") from None
    line = raw.partition(b"\n")[0].rstrip(b"\r")
    if not line:
        raise KeySettingInvalid(f"configuration: {name}: {path} holds nothing")
    return Secret(line)


def _algorithms(text: str) -> frozenset[str]:
    named = frozenset(one.strip() for one in text.split(",") if one.strip())
    known = {ref.algorithm for ref in KeyRef}
    if unknown := sorted(named - known):
        raise KeySettingInvalid(
            f"configuration: CITY_KEYS_IN_SOFTWARE: no such algorithm: {', '.join(unknown)} "
            f"(known: {', '.join(sorted(known))})"
        )
    return named
