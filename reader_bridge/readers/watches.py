"""Threads that watch one reader, one scanner or one service each; they know no driver."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reader_bridge.faults import CodeFault, ReaderFault
from reader_bridge.readers.event_values import (
    CardArrived,
    CardLeft,
    CardUnread,
    CodeRead,
    CodeUnread,
    Event,
    ReaderGone,
    ReaderJoined,
    SeveralCards,
)
from reader_bridge.readers.port import CardChannel, Plugs, Reader, Scanner

_log = logging.getLogger(__name__)

WATCHERS_MAX: Final = 32
CLOSE_SECONDS: Final = 10.0  # longer than a driver's longest answer


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, and how long is paused after a fault (doubled up to the maximum)."""

    look_seconds: float = 0.5
    held_look_seconds: float = 0.2  # while a card is spoken to
    pause_seconds: float = 0.1
    pause_seconds_max: float = 5.0


class HeldChannel:
    """A channel that its watcher may look at while another thread speaks to the card."""

    def __init__(self, channel: CardChannel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self.closed = threading.Event()

    def transmit(self, command: bytes) -> bytes:
        with self._lock:
            if self.closed.is_set():
                raise ReaderFault("card_removed")
            return self._channel.transmit(command)

    def is_present(self) -> bool:
        with self._lock:
            return not self.closed.is_set() and self._channel.is_present()

    def wait_for_removal(self, timeout_seconds: float) -> bool:
        with self._lock:
            return self._channel.wait_for_removal(timeout_seconds)

    def close(self) -> None:
        with self._lock:
            self._channel.close()
        self.closed.set()

    def has_left(self, pace: Pace) -> bool:
        """For the watcher: waits a little and looks, without holding up an exchange."""
        if self.closed.wait(pace.held_look_seconds):
            return self.wait_for_removal(pace.look_seconds)  # nobody speaks to it any more
        if not self._lock.acquire(blocking=False):
            return False  # it is answering: so it is there
        try:
            return self._channel.wait_for_removal(0.0)
        finally:
            self._lock.release()


Post = Callable[[Event], None]
# Faults about what lies on the reader; all others are about the reader itself.
CARD_CODES: Final = frozenset({"several_cards", "card_mute", "card_removed"})


class Watch:
    """A thread that ends when it is told to; `run` is what it does."""

    def __init__(self, name: str, post: Post, pace: Pace) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._post, self._pace = post, pace
        self._pause_seconds = pace.pause_seconds
        # a daemon: a driver that hangs must not keep the till from being switched off
        self.thread = threading.Thread(target=self._run, name=f"watch {name}", daemon=True)

    def look(self) -> None:
        """One turn: what came within `look_seconds`."""
        raise NotImplementedError

    def end(self) -> None:
        """Lets go what was watched."""
        raise NotImplementedError

    def pause(self) -> None:
        """After a fault: longer each time, cut short by the end."""
        self.stopping.wait(self._pause_seconds)
        self._pause_seconds = min(self._pause_seconds * 2, self._pace.pause_seconds_max)

    def went_well(self) -> None:
        self._pause_seconds = self._pace.pause_seconds

    def rest(self, started: float) -> None:
        """What came back sooner than asked, with nothing, is not asked again at once."""
        early_seconds = self._pace.look_seconds - (time.monotonic() - started)
        if early_seconds > 0:
            self.stopping.wait(early_seconds)

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.look()
        except Exception as error:  # a bug: it is told, and this watch is over
            _log.exception("the watch over %s ended", self.name)
            self._post(
                ReaderGone(self.name, ReaderFault("reader_failed", reason=type(error).__name__))
            )
        finally:
            self.end()


class CardWatch(Watch):
    """One reader's cards, comings and goings."""

    def __init__(self, reader: Reader, post: Post, pace: Pace) -> None:
        super().__init__(reader.name, post, pace)
        self._reader = reader
        self._is_joined: bool | None = None  # nothing told yet
        self._trouble: str | None = None  # told already about what lies there

    def end(self) -> None:
        self._reader.close()
        self._gone(ReaderFault("reader_missing", name=f": {self.name}"))

    def look(self) -> None:
        started = time.monotonic()
        try:
            channel = self._reader.wait_for_card(self._pace.look_seconds)
        except ReaderFault as fault:
            if fault.code in CARD_CODES:
                self._joined()
                self._tell_trouble(fault)
                self.stopping.wait(self._pace.pause_seconds)  # soon: it may lie better now
            else:
                self._gone(fault)
                self.pause()
            return
        self.went_well()
        self._joined()
        self._trouble = None
        if channel is None:
            self.rest(started)
            return
        held = HeldChannel(channel)
        self._post(CardArrived(self.name, held))
        broken = self._await_removal(held)
        held.close()
        self._post(CardLeft(self.name))
        if broken is not None:
            self._gone(broken)

    def _await_removal(self, held: HeldChannel) -> ReaderFault | None:
        """Until the card has left; what broke, when it was the reader."""
        try:
            while not self.stopping.is_set():
                started, was_closed = time.monotonic(), held.closed.is_set()
                if held.has_left(self._pace):
                    break
                if was_closed:
                    self.rest(started)
        except ReaderFault as fault:
            return None if fault.code in CARD_CODES else fault
        return None

    def _tell_trouble(self, fault: ReaderFault) -> None:
        if fault.code in {self._trouble, "card_removed"}:
            return  # who waved a card past too fast will come again
        self._trouble = fault.code
        if fault.code == "several_cards":
            self._post(SeveralCards(self.name))
        else:
            self._post(CardUnread(self.name, fault))

    def _joined(self) -> None:
        if self._is_joined is not True:
            self._is_joined = True
            self._post(ReaderJoined(self.name))

    def _gone(self, fault: ReaderFault) -> None:
        if self._is_joined is not False:
            self._is_joined, self._trouble = False, None
            self._post(ReaderGone(self.name, fault))


class CodeWatch(Watch):
    """One scanner's codes."""

    def __init__(self, scanner: Scanner, post: Post, pace: Pace) -> None:
        super().__init__(scanner.name, post, pace)
        self._scanner = scanner
        self._is_broken = False

    def end(self) -> None:
        self._scanner.close()

    def look(self) -> None:
        name, started = self.name, time.monotonic()
        try:
            payload = self._scanner.read(self._pace.look_seconds)
        except CodeFault as fault:
            self._post(CodeUnread(name, fault))
            return
        except ReaderFault as fault:
            if not self._is_broken:
                self._is_broken = True
                self._post(ReaderGone(name, fault))
            self.pause()
            return
        self.went_well()
        if self._is_broken:
            self._is_broken = False
            self._post(ReaderJoined(name))
        if payload:
            self._post(CodeRead(name, payload))
        else:
            self.rest(started)


class PlugWatch(Watch):
    """A service's readers: each that comes gets a watch, each that goes loses it."""

    def __init__(self, plugs: Plugs, post: Post, pace: Pace) -> None:
        super().__init__(plugs.name, post, pace)
        self._plugs = plugs
        self._watches: dict[str, CardWatch] = {}
        self._fault: str | None = None

    def end(self) -> None:
        self._follow(())
        self._plugs.close()

    def look(self) -> None:
        known, started = tuple(self._watches), time.monotonic()
        try:
            names = self._plugs.wait_for_change(known, self._pace.look_seconds)
        except ReaderFault as fault:
            self._follow(())
            if self._fault != fault.code:
                self._fault = fault.code
                self._post(ReaderGone(self.name, fault))
            self.pause()
            return
        if self._fault is not None:
            self._fault = None
            self._post(ReaderJoined(self.name))
        self.went_well()
        if names == known:
            self.rest(started)
        self._follow(names)

    def _follow(self, names: tuple[str, ...]) -> None:
        leaving = [self._watches.pop(name) for name in set(self._watches) - set(names)]
        for watch in leaving:
            watch.stopping.set()
        for watch in leaving:
            watch.thread.join(CLOSE_SECONDS)
        for name in names:
            if name not in self._watches and len(self._watches) < WATCHERS_MAX:
                watch = CardWatch(self._plugs.open(name), self._post, self._pace)
                self._watches[name] = watch
                watch.thread.start()
        # in the service's own order, so that `known` compares
        self._watches = {name: self._watches[name] for name in names if name in self._watches}
