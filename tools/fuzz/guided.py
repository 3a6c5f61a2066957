"""All decoders under atheris, guided by coverage: `python -m tools.fuzz.guided -max_total_time=60`.

libFuzzer's own arguments pass. It ends the process itself, hence a process of its own; what it
found is kept as a file whose name it prints.
"""

from __future__ import annotations

import sys

import atheris

READERS = ("card_protocol", "hce.transports", "hce.inspect", "hce.purse_codec", "hce.purse_keys")

with atheris.instrument_imports(include=list(READERS)):
    from tools.fuzz.decoders import DECODERS, feed


def one_input(data: bytes) -> None:
    """The first byte says which decoder; an uncaught exception is what libFuzzer waits for."""
    if not data:
        return
    decoders = tuple(DECODERS.values())
    feed(decoders[data[0] % len(decoders)], data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
