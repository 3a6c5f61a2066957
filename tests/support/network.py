"""Closes the network to tests: only loopback and Unix sockets answer.

An audit hook sees every socket of this process below any library (httpx, gevent, smartcard), so
nothing has to be patched. Processes that a test starts are not seen.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_LOCAL_NAMES = frozenset({"", "localhost", "localhost.localdomain"})


class _Guard:
    """Whether the hook (which can never be taken out again) is on, and what it refused."""

    installed = False
    is_on = False
    refused: list[str] = []  # noqa: RUF012 - one per process, like the hook


class NetworkClosed(BaseException):
    """Not an Exception: a retry loop in the code under test must not eat it."""


def is_local(host: object) -> bool:
    """Whether `host` (a name, an address, bytes or None) can only mean this machine."""
    if host is None:
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _target(event: str, arguments: tuple[Any, ...]) -> object:
    """The host an audit event is about; None where it stays on this machine by nature."""
    if event in _LOOKUPS:
        return arguments[0]
    address = arguments[1]
    return address[0] if isinstance(address, tuple) else None  # AF_UNIX: a path; connected: None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _Guard.is_on or (event not in _CONNECTS and event not in _LOOKUPS):
        return
    host = _target(event, arguments)
    if not is_local(host):
        _Guard.refused.append(f"{event} {host}")
        raise NetworkClosed(f"tests talk to this machine only: {event} {host}")


@contextmanager
def closed() -> Iterator[None]:
    """Refuses every way out of this machine for the length of the `with`."""
    if not _Guard.installed:
        sys.addaudithook(_hook)
        _Guard.installed = True
    was_on, _Guard.is_on = _Guard.is_on, True
    try:
        yield
    finally:
        _Guard.is_on = was_on


def take_refused() -> list[str]:
    """What was refused since the last call."""
    taken, _Guard.refused = _Guard.refused, []
    return taken
