"""Cards that are none: what lies on a reader and is not a city's card. Each costs one refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from reader_bridge.faults import ReaderFault
from reader_bridge.simulator.card_specs import Kind

SILENT_SECONDS: Final = 0.5  # a driver waits longer: `present silent slow 5000`
NOISE_BYTES_MAX: Final = 30
NOT_FOUND: Final = b"\x6a\x82"
MORE: Final = b"\x61\xff"
AGAIN: Final = b"\x6c\x00"

Transmit = Callable[[bytes], bytes]
Sleep = Callable[[float], None]
RandomBytes = Callable[[int], bytes]


def hostile_cards(sleep: Sleep, random_bytes: RandomBytes) -> Mapping[Kind, Transmit]:
    """By kind, ready to be spoken to."""

    def silent(command: bytes) -> bytes:
        del command
        sleep(SILENT_SECONDS)
        raise ReaderFault("card_mute")  # what a driver says when its time is over

    def noise(command: bytes) -> bytes:
        del command
        return random_bytes(2 + random_bytes(1)[0] % NOISE_BYTES_MAX)

    return MappingProxyType(
        {
            Kind.FOREIGN: lambda _: NOT_FOUND,
            Kind.SILENT: silent,
            Kind.NOISE: noise,
            Kind.MORE: lambda _: MORE,
            Kind.AGAIN: lambda _: AGAIN,
        }
    )
