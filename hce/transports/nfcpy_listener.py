"""A card held to another reader through nfcpy, which no other file of this package knows.

nfcpy's own card emulation is type 3 only (Part B.4), so ISO-DEP is ours. Drivers that can listen:
`udp:<host>:<port>` (two processes, no hardware), and over USB PN531, PN532, PN533 and RC-S380.
"""

from __future__ import annotations

import errno
import logging
import secrets
import select
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import nfc.clf
import nfc.clf.udp

from hce.card import Card
from hce.errors import ReaderUnreachable
from hce.transports.isodep import IsoDepCard
from hce.transports.isodep_frames import RATS_START, Ats, is_information
from hce.transports.isodep_session import Ending, FieldLost, FrameGarbled, Patience, Session

_log = logging.getLogger(__name__)

SENS_RES: Final = bytes.fromhex("0400")  # a UID of 4 bytes: longer ones trip nfcpy's udp driver
SEL_RES: Final = bytes.fromhex("20")  # ISO-DEP, nothing else
RANDOM_UID: Final = b"\x08"  # the first byte of a random one (ISO/IEC 14443-3, 6.5.4)
LISTEN_SECONDS: Final = 1.0
# A driver that answers RATS by itself and keeps it: frames small enough for any reader we met.
UNKNOWN_RATS: Final = bytes((RATS_START, 0x50))
LATE_FRAMES_MAX: Final = 64
FAILURES_MAX: Final = 5  # in a row: the driver is broken, not the field
ENDINGS_KEPT: Final = 16


class LoopbackUdp(nfc.clf.udp.Device):  # type: ignore[misc] # nfcpy carries no types
    """The card's end of nfcpy's simulated field, heard on this machine only.

    nfcpy's own binds to every address, drops its socket between two activations, and raises
    whatever a datagram that is no frame makes `unhexlify` raise. A datagram may also come twice,
    which no radio frame does: the second of two equal I-blocks in a row is not heard (a reader
    counts its blocks, so it never sends two).
    """

    socket: Any
    _block = b""

    def mute(self) -> None:
        """A card has no field to switch off; its socket stays."""

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def drop_what_came(self) -> None:
        """A radio that computes or sends does not hear: what came meanwhile was never there.

        The end of the field is: it ends the session at the next exchange. Raises FieldLost.
        """
        for _ in range(LATE_FRAMES_MAX):
            if not select.select([self.socket], [], [], 0)[0]:
                return
            if self.socket.recvfrom(1024)[0].startswith(b"RFOFF"):
                raise FieldLost("field off")

    def _bind_socket(self, time_to_return: float) -> bool:
        del time_to_return
        if self.socket.getsockname()[1] != self.addr[1]:
            self.socket.bind(("127.0.0.1", self.addr[1]))
        return True

    def _recv_data(self, timeout: float | None, *brty_list: str) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                heard = super()._recv_data(left, *brty_list)
            except ValueError:
                raise nfc.clf.TransmissionError("not a frame") from None
            frame = bytes(heard[1])
            is_repeated = frame == self._block and is_information(frame)
            self._block = frame
            if not is_repeated:
                return heard


class _NfcpyRadio:
    """An activated target behind the `Radio` port."""

    def __init__(self, frontend: nfc.clf.ContactlessFrontend) -> None:
        self._frontend = frontend

    def exchange(self, frame: bytes | None, timeout_seconds: float) -> bytes | None:
        self._hear_nothing_before(frame)
        try:
            heard = self._frontend.exchange(frame, timeout_seconds)
        except nfc.clf.TimeoutError:
            return None
        except nfc.clf.BrokenLinkError:
            raise FieldLost("field off") from None
        except nfc.clf.CommunicationError:
            raise FrameGarbled from None
        except OSError as error:
            raise FieldLost(error.strerror or str(error)) from None
        if heard is None:
            raise FieldLost("the link is broken")
        return bytes(heard)

    def send(self, frame: bytes) -> None:
        """Drivers only send when they also listen: nothing is expected to come."""
        self._hear_nothing_before(frame)
        try:
            self._frontend.exchange(frame, 0)
        except nfc.clf.CommunicationError as error:
            _log.debug("after the last frame: %s", type(error).__name__)
        except OSError as error:
            raise FieldLost(error.strerror or str(error)) from None

    def _hear_nothing_before(self, frame: bytes | None) -> None:
        device = self._frontend.device
        if frame is not None and isinstance(device, LoopbackUdp):
            device.drop_what_came()


class NfcpyListener:
    """Holds a card to whatever reader comes, activation after activation.

    Use as a context; `run` returns after `stop` (from any thread) or `sessions_max` activations.
    """

    def __init__(
        self,
        card: Card,
        path: str,
        *,
        ats: Ats | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`path` as nfcpy writes it: `udp:127.0.0.1:54321`, `usb`, `tty:USB0:pn532`."""
        self._card, self._path, self._ats, self._patience = card, path, ats or Ats(), patience
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="isodep-card")
        self._frontend: nfc.clf.ContactlessFrontend | None = None

    def __enter__(self) -> NfcpyListener:
        """Raises ReaderUnreachable."""
        self._frontend = _open(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._frontend is not None:
            self._frontend.close()
            self._frontend = None
        self._threads.submit(self._card.power_off)
        self._threads.shutdown(wait=False)

    def stop(self) -> None:
        self._stopping.set()

    def run(self, sessions_max: int | None = None) -> list[Ending]:
        """How the last sessions ended. Raises ReaderUnreachable when the driver breaks."""
        endings: deque[Ending] = deque(maxlen=ENDINGS_KEPT)
        sessions = failures = 0
        while not self._stopping.is_set() and sessions != sessions_max:
            try:
                target = self._listen()
                failures = 0
            except OSError as error:
                failures += 1
                if failures == FAILURES_MAX:
                    reason = error.strerror or str(error)
                    raise ReaderUnreachable(f"{self._path}: {reason}") from None
                continue
            if target is not None:
                endings.append(self._serve(target))
                sessions += 1
        return list(endings)

    def _listen(self) -> nfc.clf.LocalTarget | None:
        assert self._frontend is not None, "used as a context"
        wanted = nfc.clf.LocalTarget(
            "106A",
            sens_res=bytearray(SENS_RES),
            sdd_res=bytearray(RANDOM_UID + secrets.token_bytes(3)),
            sel_res=bytearray(SEL_RES),
            rats_res=bytearray(self._ats.encode()),
        )
        try:
            found = self._frontend.listen(wanted, LISTEN_SECONDS)
        except nfc.clf.UnsupportedTargetError:
            raise ReaderUnreachable(f"{self._path}: this reader cannot be a card") from None
        except nfc.clf.CommunicationError as error:
            _log.debug("nobody came: %s", type(error).__name__)
            return None
        return found if found is not None and found.tt4_cmd else None

    def _serve(self, target: nfc.clf.LocalTarget) -> Ending:
        machine, first = IsoDepCard(self._ats), bytes(target.tt4_cmd)
        if first[0] != RATS_START:  # the driver has answered RATS itself
            machine.receive(bytes(target.rats_cmd or UNKNOWN_RATS))
        self._threads.submit(self._card.power_on)
        session = Session(
            self._card,
            machine,
            _NfcpyRadio(self._frontend),
            self._threads,
            patience=self._patience,
            is_stopping=self._stopping.is_set,
        )
        ending = session.run(first)
        # behind a command that may still be computed: a card that hangs holds up no listener
        self._threads.submit(self._card.power_off)
        _log.info("card let go: %s", ending.value)
        return ending


def _open(path: str) -> nfc.clf.ContactlessFrontend:
    """Raises ReaderUnreachable."""
    frontend = nfc.clf.ContactlessFrontend()
    try:
        kind, _, rest = path.partition(":")
        if kind == "udp":
            host, _, port = rest.rpartition(":")
            frontend.device = _udp_device(host, int(port))
        elif not frontend.open(path):
            raise OSError(errno.ENODEV, "no reader there")
    except ValueError:
        raise ReaderUnreachable(f"{path}: not a reader's name") from None
    except OSError as error:
        raise ReaderUnreachable(f"{path}: {error.strerror or error}") from None
    return frontend


def _udp_device(host: str, port: int) -> LoopbackUdp:
    if host not in {"", "127.0.0.1", "localhost"} or not 1 <= port <= 65_535:
        raise ValueError("the simulated field reaches over this machine only")
    device = LoopbackUdp("127.0.0.1", port)
    device._vendor_name, device._device_name, device._chipset_name = "", "IP-Stack", "UDP"
    try:
        device._bind_socket(0.0)  # a taken port is told at once
    except OSError:
        device.close()
        raise
    return device
