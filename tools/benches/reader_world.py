"""What the terminal of the bench was told: profile, deny list of a million; knows no card."""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from card_protocol.deny_list import KEY_NAME_BYTES, DenyList, DenyPart
from card_protocol.fares import FlatFare
from card_protocol.mobile_card import EPURSE_AID, MOBILE_CARD_AID, Suite
from card_protocol.mode_rules import ModeRules
from card_protocol.terminal_profile import Mode, OfflineLimits, ProfileTerms, RideAuthorities
from reader_bridge.deny_list import DenyListStore
from reader_bridge.kernels.selection import AcceptedApplication
from reader_bridge.profile import Profile, SignedProfile
from tools.benches.card_purse import PUBLIC
from tools.benches.errors import BenchFailed
from tools.benches.reader_process import ISSUER_KEY_INDEX

DENIED: Final = 1_000_000  # tokens, and as many purses
FARE_FEN: Final = 1
TERMINAL_NUMBER, MERCHANT_NUMBER = "BENCH001", "BENCH0000000001"
PLENTY: Final = 1_000_000_000
PROFILE_SECONDS: Final = 86_400
_TOKENS_FROM: Final = 9156 * 10**15  # the numbers of cards that vouch for themselves
_PURSES_FROM: Final = 3105 * 10**15
_NUMBERS: Final = 10**15
_SEED: Final = 5


def make_profile(
    now: int, issuer_point: bytes = b"", rides: RideAuthorities | None = None
) -> SignedProfile:
    """A bus's, without the signature that is checked once a day and in no tap."""
    keys: Mapping[tuple[Suite, int], bytes] = (
        {(Suite.AES_ES256, ISSUER_KEY_INDEX): issuer_point} if issuer_point else {}
    )
    facts = Profile(
        version=1,
        terminal_id="trm_bench",
        terminal_number=TERMINAL_NUMBER,
        merchant_number=MERCHANT_NUMBER,
        merchant_name="bench",
        shop_name="bench",
        applications=(
            AcceptedApplication(EPURSE_AID, "MOT_T_EP", 1),
            AcceptedApplication(MOBILE_CARD_AID, "CITY CARD", 2),
        ),
        issuer_keys=keys,
        online_timeout_seconds=2.0,
    )
    return SignedProfile(
        facts=facts,
        terms=_terms(),
        ride_codes=rides,
        deny_list_version=2,
        issued_at=now - 60,
        expires_at=now + PROFILE_SECONDS,
        pins={},
        document="",
    )


def _terms() -> ProfileTerms:
    limits = OfflineLimits(
        sale_max_fen=PLENTY,
        card_sum_max_fen=PLENTY,
        card_count_max=PLENTY,
        sum_max_fen=PLENTY,
        count_max=PLENTY,
        age_max_seconds=PROFILE_SECONDS,
    )
    return ProfileTerms(
        mode=Mode.BUS,
        fare=FlatFare(FARE_FEN),
        rules=ModeRules(again_seconds=0),  # one card, over and over
        offline=limits,
        purse_issuers=frozenset({PUBLIC.issuer}),
    )


def make_deny_list(folder: Path, now: int, denied: int = DENIED) -> DenyList:
    """Read in place from its file, as a terminal has it. Raises BenchFailed."""
    dice = random.Random(_SEED)  # noqa: S311 - numbers of nobody
    lists = [_spread(start, denied, dice) for start in (_TOKENS_FROM, _PURSES_FROM)]
    part = DenyPart(
        key_name=bytes(KEY_NAME_BYTES),
        since=1,
        upto=2,
        head=2,
        issued_at=now,
        tokens_total=denied,
        purses_total=denied,
    )
    store = DenyListStore(folder)
    store.write(DenyList(1, now - 1, *lists), part)
    store.take_over()
    found = store.load({})
    if found is None or len(found.tokens) != denied:
        raise BenchFailed("the deny list is not as it was written")
    return found


def _spread(start: int, count: int, dice: random.Random) -> array[int]:
    """Ascending, one in each of `count` equal stretches."""
    stretch = _NUMBERS // count
    rolls = (int(dice.random() * stretch) for _ in range(count))
    return array("Q", (start + at * stretch + roll for at, roll in enumerate(rolls)))
