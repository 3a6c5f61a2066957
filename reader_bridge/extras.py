"""Which part of the package a missing driver comes with; knows no driver."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reader_bridge.faults import Fault, Language

PACKAGE: Final = "city-card"
# Driver as `driver_missing` names it -> extra of pyproject.toml.
EXTRAS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pyscard": "bridge-pcsc",
        "nfcpy": "bridge-nfc",
        "zxing-cpp": "bridge-camera",
        "qrcode": "bridge-camera",
        "pyserial": "bridge",
    }
)


def words_of(fault: Fault, language: Language) -> str:
    """The fault's words in one line; of a missing driver also what to install."""
    words = fault.text(language)
    extra = EXTRAS.get(str(fault.data.get("driver")))
    if fault.code != "driver_missing" or extra is None:
        return words
    return f"{words}: pip install '{PACKAGE}[{extra}]'"
