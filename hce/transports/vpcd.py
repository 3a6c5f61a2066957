"""PC/SC through vsmartcard's vpcd: the card dials the virtual reader inside pcscd (Part B.5).

Frames are a 2-byte length and a payload. One byte is for the reader: 00 power off, 01 power on,
02 reset, 04 get ATR (answered with the ATR); anything longer is a command APDU. Knows no command.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import Final, Protocol

from hce.errors import ReaderUnreachable

_log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
PORT: Final = 35963  # slot 0; slot 1 is one higher
SLOTS: Final = 2
CONNECT_SECONDS: Final = 3.0
FIRST_WORD_SECONDS: Final = 5.0  # the reader looks for a card about twice a second
STOP_SECONDS: Final = 5.0
RECONNECTS_MAX: Final = 10
RETRY_SECONDS: Final = 0.6  # longer than the 0.4 s between two looks: an absence has to be seen
INSERT_SECONDS: Final = 6.0
LOOKS_MAX: Final = 3  # a card that is seen is powered at the second look
OVERLOOKED_MAX: Final = 2

POWER_OFF, POWER_ON, RESET, GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"

# Linux only. Elsewhere the platform's own delayed acknowledgement stays: answers may be slower.
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Plugged(Protocol):
    """What a reader asks of a card: `hce.card.Card`, or anything that answers like one."""

    atr: bytes

    def reset(self) -> bytes: ...

    def power_off(self) -> None: ...

    def transmit(self, command: bytes) -> bytes: ...


class VpcdPlug:
    """A card in one slot of the virtual reader; `insert` and `remove` as often as wanted.

    A lost connection (pcscd restarted) is dialled again `reconnects_max` times, then `wait`
    raises ReaderUnreachable. `remove` works from any thread.

    pcscd may overlook a card: when a terminal resets one that has just left, pcscd notes "absent"
    without telling its own poller, and a card that comes before the next look is asked for its ATR
    for ever and never powered. Such a card leaves and comes again.
    """

    def __init__(
        self,
        card: Plugged,
        host: str = HOST,
        port: int = PORT,
        *,
        reconnects_max: int = RECONNECTS_MAX,
        retry_seconds: float = RETRY_SECONDS,
        first_word_seconds: float = FIRST_WORD_SECONDS,
    ) -> None:
        self._card = card
        self._address = (host, port)
        self._reconnects_max = reconnects_max
        self._retry_seconds = retry_seconds
        self._first_word_seconds = first_word_seconds
        self._stopping = threading.Event()
        self._line: _Line | None = None
        self._thread: threading.Thread | None = None
        self._failure: ReaderUnreachable | None = None
        self._settled = threading.Event()  # the reader has powered the card, or we have given up
        self._overlooked = 0

    def __enter__(self) -> VpcdPlug:
        self.insert()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def insert(self) -> None:
        """Returns once the reader has powered the card. Raises ReaderUnreachable.

        A pcscd built to power cards only on demand is waited for INSERT_SECONDS.
        """
        assert self._thread is None, "the card is plugged in already"
        self._stopping.clear()
        self._settled.clear()
        self._failure, self._overlooked = None, 0
        line = self._dial()
        self._line = line
        self._thread = threading.Thread(
            target=self._run, args=(line,), name="vpcd-card", daemon=True
        )
        self._thread.start()
        self._settled.wait(INSERT_SECONDS)
        if self._failure is not None:
            self.remove()
            raise self._failure

    def remove(self) -> None:
        """Takes the card out and waits until it is; twice is once."""
        self._stopping.set()
        line, thread = self._line, self._thread
        if line is not None:
            line.hang_up()
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_SECONDS)
        self._line = self._thread = None

    def is_present(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """True when the card has left, False when time is over. Raises ReaderUnreachable."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_seconds)
        if self._failure is not None:
            raise self._failure
        return thread is None or not thread.is_alive()

    def _run(self, line: _Line) -> None:
        try:
            self._serve(line)
            while not self._stopping.is_set():
                line = self._dial_again()
                self._serve(line)
        except ReaderUnreachable as error:
            if not self._stopping.is_set():
                self._failure = error
        finally:
            self._card.power_off()
            self._settled.set()

    def _dial(self) -> _Line:
        """A line on which the reader has spoken: only then it has taken this card."""
        line = _Line(self._address)
        try:
            line.await_first_word(self._first_word_seconds)
        except ReaderUnreachable:
            line.close()
            raise
        return line

    def _dial_again(self) -> _Line:
        for attempt in range(1, self._reconnects_max + 1):
            if self._stopping.wait(self._retry_seconds):
                break
            try:
                line = self._dial()
            except ReaderUnreachable as error:
                _log.info("reader lost, attempt %d of %d: %s", attempt, self._reconnects_max, error)
                continue
            self._line = line
            if self._stopping.is_set():  # asked to leave while we dialled
                line.hang_up()
            return line
        raise ReaderUnreachable(f"{_at(self._address)}: the reader went away")

    def _serve(self, line: _Line) -> None:
        """Answers frames until either side hangs up, or the card has to leave and come again."""
        looks = 0
        try:
            while (payload := line.receive()) is not None:
                looks += payload == GET_ATR
                if payload in {POWER_ON, RESET} or len(payload) > 1:
                    self._settled.set()
                elif looks > LOOKS_MAX and self._is_overlooked():
                    return
                answer = self._answer(payload)
                if answer is not None:
                    line.send(answer)
        except OSError as error:
            _log.info("reader hung up: %s", error)
        finally:
            line.close()
            self._card.power_off()

    def _is_overlooked(self) -> bool:
        if self._settled.is_set() or self._overlooked == OVERLOOKED_MAX:
            return False
        self._overlooked += 1
        _log.info("the reader looks and does not power the card: out and in again")
        return True

    def _answer(self, payload: bytes) -> bytes | None:
        if len(payload) > 1:
            return self._card.transmit(payload)
        if payload == GET_ATR:
            return self._card.atr
        if payload == POWER_OFF:
            self._card.power_off()
        elif payload in {POWER_ON, RESET}:
            self._card.reset()
        else:
            _log.info("the reader sent a word this card does not know")
        return None


class _Line:
    """One TCP connection, in frames."""

    def __init__(self, address: tuple[str, int]) -> None:
        """Raises ReaderUnreachable when nobody listens."""
        self._address = address
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection(address, CONNECT_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReaderUnreachable(f"{_at(address)}: no virtual reader ({reason})") from None
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._acknowledge_at_once()

    def await_first_word(self, seconds: float) -> None:
        """Raises ReaderUnreachable: a taken slot accepts the connection and then says nothing."""
        self._socket.settimeout(seconds)
        try:
            self._receive_more()
        except TimeoutError:
            reason = f"silent for {seconds:.0f} s: is another card plugged in?"
            raise ReaderUnreachable(f"{_at(self._address)}: {reason}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ReaderUnreachable(f"{_at(self._address)}: hung up ({reason})") from None
        if not self._buffer:
            raise ReaderUnreachable(f"{_at(self._address)}: hung up at once")
        self._socket.settimeout(None)

    def receive(self) -> bytes | None:
        """The next payload; None when the other side has hung up."""
        while True:
            if len(self._buffer) >= 2:
                end = 2 + int.from_bytes(self._buffer[:2])
                if len(self._buffer) >= end:
                    payload = bytes(self._buffer[2:end])
                    del self._buffer[:end]
                    return payload
            if not self._receive_more():
                return None

    def send(self, payload: bytes) -> None:
        """Length and payload in one segment: two would wait for each other's acknowledgement."""
        self._socket.sendall(len(payload).to_bytes(2) + payload)

    def hang_up(self) -> None:
        """Ends `receive` in whatever thread it waits."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            _log.debug("hung up already: %s", error)

    def close(self) -> None:
        self._socket.close()

    def _receive_more(self) -> bool:
        chunk = self._socket.recv(4096)
        self._acknowledge_at_once()
        self._buffer += chunk
        return bool(chunk)

    def _acknowledge_at_once(self) -> None:
        """vpcd writes length and payload apart and its Nagle holds the second until we acknowledge
        the first: 40 ms a command. Linux forgets the wish at each receipt, so it is said again."""
        if _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _at(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
