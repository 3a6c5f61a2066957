"""A terminal as a process of its own: one load of a card that lies at a socket, until it is killed.

Run by test_loads_killed.py: FOLDER SOCKET REFERENCE AMOUNT_FEN STEP.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from tests.reader_bridge.loads.world import Killer, load_order, mortal, tap


class Sigkill(Killer):
    """At its step nothing of this process is left to tidy up."""

    def step(self, name: str) -> None:
        self.names.append(name)
        if self.at == len(self.names):
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, socket_path: str, reference: str, amount_fen: str, at: str) -> None:
    killer = Sigkill(int(at))
    with socket.socket(socket.AF_UNIX) as line, mortal(Path(folder), killer) as terminal:
        line.connect(socket_path)

        def transmit(command: bytes) -> bytes:
            killer.step(f"before {command[:2].hex()}")
            line.sendall(len(command).to_bytes(2) + command)
            size = int.from_bytes(line.recv(2, socket.MSG_WAITALL))
            answer = line.recv(size, socket.MSG_WAITALL)
            killer.step(f"after {command[:2].hex()}")
            return answer

        tap(terminal, load_order(reference, int(amount_fen)), transmit)


if __name__ == "__main__":
    main(*sys.argv[1:])
