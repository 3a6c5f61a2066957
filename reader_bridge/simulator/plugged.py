"""A card that is another process: it dials a port of ours as if that were vpcd's virtual reader.

Frames: length (2 bytes, big-endian) and payload; a payload of one byte is for the card's power.
Any program that speaks vsmartcard's protocol will do. Knows no command of any card.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reader_bridge.faults import ReaderFault
from reader_bridge.simulator.card_specs import PORT, CardRefused

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 5.0  # as long as the PC/SC reader waits
STOP_SECONDS: Final = 5.0
LOG_BYTES_TOLD: Final = 500
POWER_OFF, RESET = b"\x00", b"\x02"


class PluggedCard:
    """One process, from `start` to `close`. What it keeps is its own affair."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Starts it and waits until it has dialled. Raises CardRefused, told from its log."""
        self.name = name
        self._lock = threading.Lock()
        self._log = log
        with socket.create_server((HOST, 0), backlog=1) as listener:
            port = str(listener.getsockname()[1])
            words = [word.replace(PORT, port) for word in command]
            try:
                with log.open("wb") as file:
                    self._process = subprocess.Popen(  # noqa: S603 - as the owner wrote, no shell
                        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file
                    )
            except OSError as error:
                raise CardRefused(f"card '{name}': {words[0]}: {error.strerror}") from None
            try:
                self._line = self._accept(listener)
            except BaseException:
                self._end()
                raise
        self._line.settimeout(ANSWER_SECONDS)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_lost = False
        self.power_on()  # a card that is never powered leaves again

    @property
    def is_alive(self) -> bool:
        return not self._is_lost and self._process.poll() is None

    def power_on(self) -> None:
        """As at the beginning of each presentation: what was selected is forgotten."""
        with self._lock:
            self._send(RESET)

    def transmit(self, command: bytes) -> bytes:
        """Raises ReaderFault(card_mute, card_removed)."""
        with self._lock:
            self._send(command)
            try:
                return self._receive(int.from_bytes(self._receive(2)))
            except TimeoutError:
                self._is_lost = True  # a late answer would be taken for the next one
                raise ReaderFault("card_mute") from None
            except OSError:
                self._is_lost = True
                raise ReaderFault("card_removed") from None

    def close(self) -> None:
        """Ends the process; may be called again."""
        self._line.close()
        self._end()

    def _send(self, payload: bytes) -> None:
        try:
            self._line.sendall(len(payload).to_bytes(2) + payload)
        except OSError:
            self._is_lost = True
            raise ReaderFault("card_removed") from None

    def _receive(self, length_bytes: int) -> bytes:
        body = b""
        while len(body) < length_bytes:
            chunk = self._line.recv(length_bytes - len(body))
            if not chunk:
                raise ConnectionError("the card hung up")
            body += chunk
        return body

    def _accept(self, listener: socket.socket) -> socket.socket:
        """The first that dials, while the process lives."""
        listener.settimeout(0.2)
        for _ in range(int(START_SECONDS / 0.2)):
            try:
                line, _ = listener.accept()
            except TimeoutError:
                if self._process.poll() is None:
                    continue
                break
            return line
        said = self._log.read_bytes()[-LOG_BYTES_TOLD:].decode(errors="replace").strip()
        raise CardRefused(f"card '{self.name}' did not come: {said or 'it said nothing'}")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
