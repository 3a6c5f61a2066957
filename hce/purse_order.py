"""One purse as a bench orders it: profile, suite, number and money; reads no clock and no file."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from card_protocol.checks import is_digits
from card_protocol.epurse.files import ManagementData, PublicData
from card_protocol.epurse.suites import PurseSuite
from hce.applets.epurse.state import PurseState
from hce.purse_keys import IssuerKeys
from hce.purse_profile import PurseProfile, key_names, personalise

NUMBER_DIGITS: Final = 19
NUMBER_PREFIX: Final = "310"  # T-Union
KEY_INDEX: Final = 1
APPLICATION_TYPE: Final = 0x02
APPLICATION_VERSION: Final = 0x01
COUNTRY: Final = bytes.fromhex("00000156")
INTEROPERABLE: Final = b"\x00\x01"
CARD_TYPE_TEST: Final = 4
VALID_YEARS: Final = 10


class OrderRefused(ValueError):
    """An order no issuer would take; the text says why."""


@dataclass(frozen=True, slots=True)
class PurseOrder:
    """`suite`: all keys of this one; None leaves the profile's own. Raises OrderRefused."""

    profile: PurseProfile
    born: date
    number: str  # 19 digits
    balance_fen: int = 0
    suite: PurseSuite | None = None

    def __post_init__(self) -> None:
        is_number = len(self.number) == NUMBER_DIGITS and is_digits(self.number)
        if not (is_number and self.number.startswith(NUMBER_PREFIX)):
            raise OrderRefused(f"a number has {NUMBER_DIGITS} digits and begins {NUMBER_PREFIX}")
        balance_max_fen = self.profile.rules.balance_max_fen
        if not 0 <= self.balance_fen <= balance_max_fen:
            raise OrderRefused(f"the profile holds at most {balance_max_fen} fen")


def random_number() -> str:
    """Of a card nobody has printed."""
    digits = NUMBER_DIGITS - len(NUMBER_PREFIX)
    return NUMBER_PREFIX + "".join(secrets.choice("0123456789") for _ in range(digits))


def make_purse(order: PurseOrder, keys: IssuerKeys) -> PurseState:
    """A purse at birth. With TEST keys it says in file 17 that it is a test card.

    Raises OrderRefused: money under real keys (it comes by load alone), or a profile with a PIN
    and none in the keys. Raises `MalformedBytes` where a master is missing.
    """
    profile = replace(order.profile, levels=keys.levels)
    if order.suite is not None:
        profile = replace(profile, keys=key_names(order.suite.algorithm, KEY_INDEX))
    if keys.is_test:
        profile = replace(profile, card_type=CARD_TYPE_TEST)
    elif order.balance_fen:
        raise OrderRefused("a purse under real keys is born empty: load it")
    if profile.has_pin and keys.pin is None:
        raise OrderRefused("this profile has a PIN and the keys have none")
    place = keys.issuer[2:4]
    management = ManagementData(COUNTRY, place, place, INTEROPERABLE, profile.card_type)
    pin = keys.pin if profile.has_pin else None
    state = personalise(profile, _public(order, keys), management, derive=keys.derive, pin=pin)
    return replace(state, balance_fen=order.balance_fen)


def _public(order: PurseOrder, keys: IssuerKeys) -> PublicData:
    expiry = f"{order.born.year + VALID_YEARS:04d}1231"
    return PublicData(
        keys.issuer,
        APPLICATION_TYPE,
        APPLICATION_VERSION,
        serial=bytes.fromhex("0" + order.number),
        start=bytes.fromhex(order.born.strftime("%Y%m%d")),
        expiry=bytes.fromhex(expiry),
    )
