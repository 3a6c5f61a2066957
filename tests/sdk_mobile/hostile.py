"""A network between a phone and a city that loses, delays, doubles and garbles what it carries."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

import httpx

from backend.kernel.clock import ManualClock

LATE_REQUESTS_MAX = 4  # so many requests later, at the latest, a delayed one arrives


class Harm(Enum):
    UNREACHABLE = auto()  # no connection: nothing was sent
    LOST = auto()  # sent, and never arrived
    LATE = auto()  # sent, given up, and arrives after others that were sent later
    UNANSWERED = auto()  # done, and the answer is lost
    BROKEN = auto()  # done, and the answer breaks off in the middle
    DOUBLED = auto()  # arrives twice; the second answer is heard
    DOUBLED_LATE = auto()  # answered, and arrives once more after others
    GATEWAY = auto()  # done, and somebody on the way answers 502
    PORTAL = auto()  # a captive portal answers 200, cheerfully
    SLOW = auto()  # an answer after a while


@dataclass(frozen=True, slots=True)
class _Delayed:
    request: httpx.Request
    due: int


class _Torn(httpx.SyncByteStream):
    """The first half of an answer, then nothing."""

    def __init__(self, content: bytes) -> None:
        self._half = content[: len(content) // 2]

    def __iter__(self) -> Iterator[bytes]:
        yield self._half
        raise httpx.ReadError("connection reset")


class HostileNetwork(httpx.BaseTransport):
    """Harms a request with `probability` in one of `kinds`; `seen` counts what happened."""

    def __init__(self, inner: httpx.BaseTransport, clock: ManualClock, dice: random.Random) -> None:
        self._inner, self._clock, self._dice = inner, clock, dice
        self._delayed: deque[_Delayed] = deque()
        self._count = 0
        self.probability = 0.0
        self.kinds = tuple(Harm)
        self.seen: Counter[Harm | None] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self._count += 1
        harm = None
        if self._dice.random() < self.probability:
            harm = self._dice.choice(self.kinds)
        self.seen[harm] += 1
        self._deliver_delayed()
        response = self._harmed_before(harm, request)
        if response is None:
            response = self._harmed_after(harm, request, self._deliver(request))
        return response

    def calm(self) -> None:
        """No harm from now on; what was delayed arrives."""
        self.probability = 0.0
        self._count += LATE_REQUESTS_MAX
        self._deliver_delayed()

    def close(self) -> None:
        """The city outlives the phones that talk to it."""

    def _deliver(self, request: httpx.Request) -> httpx.Response:
        again = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        response = self._inner.handle_request(again)
        response.read()
        return response

    def _delay(self, request: httpx.Request) -> None:
        due = self._count + self._dice.randint(1, LATE_REQUESTS_MAX)
        self._delayed.append(_Delayed(request, due))

    def _deliver_delayed(self) -> None:
        for one in [one for one in self._delayed if one.due <= self._count]:
            self._delayed.remove(one)
            self._deliver(one.request)

    def _harmed_before(self, harm: Harm | None, request: httpx.Request) -> httpx.Response | None:
        match harm:
            case Harm.UNREACHABLE:
                raise httpx.ConnectError("no route")
            case Harm.LOST:
                raise httpx.ReadTimeout("nothing came")
            case Harm.LATE:
                self._delay(request)
                raise httpx.ReadTimeout("nothing came yet")
            case Harm.PORTAL:
                kind = {"Content-Type": "text/html"}
                return httpx.Response(200, headers=kind, content=b"<html>Welcome on board</html>")
            case Harm.SLOW:
                self._clock.advance(timedelta(seconds=self._dice.randint(5, 40)))
        return None

    def _harmed_after(
        self, harm: Harm | None, request: httpx.Request, response: httpx.Response
    ) -> httpx.Response:
        match harm:
            case Harm.UNANSWERED:
                raise httpx.RemoteProtocolError("the other side hung up")
            case Harm.BROKEN:
                torn = _Torn(response.content)
                return httpx.Response(response.status_code, headers=response.headers, stream=torn)
            case Harm.DOUBLED:
                return self._deliver(request)
            case Harm.DOUBLED_LATE:
                self._delay(request)
            case Harm.GATEWAY:
                return httpx.Response(502, content=b"bad gateway")
        return response
