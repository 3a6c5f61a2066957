"""The ATR a contactless card gets from its reader (PC/SC part 3, 3.1.3.2.3); knows no card."""

from __future__ import annotations

from functools import reduce
from operator import xor

HISTORICAL_BYTES_MAX = 15
# Category 80 (compact TLV), object 5: card issuer's data (ISO/IEC 7816-4, 12.1.1).
HISTORICAL_BYTES = b"\x80\x58CITYCARD"


def contactless_atr(historical: bytes = HISTORICAL_BYTES) -> bytes:
    """3B 8n 80 01 ‖ historical bytes ‖ TCK: T=0 and T=1 offered, as readers synthesise it.

    Raises ValueError for more than 15 historical bytes.
    """
    if len(historical) > HISTORICAL_BYTES_MAX:
        raise ValueError("an ATR has at most 15 historical bytes")
    checked = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
    return b"\x3b" + checked + bytes((reduce(xor, checked),))
