"""The network really is closed; what is tried in vain is told."""

from __future__ import annotations

import socket

import pytest

from tests.support import network

OUTSIDE = "192.0.2.1"  # RFC 5737: belongs to nobody


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "0.0.0.0", "", None]
)
def test_local_hosts(host: str | None) -> None:
    assert network.is_local(host)


@pytest.mark.parametrize("host", [OUTSIDE, "10.0.0.1", "example.org", b"example.org", "fe80::1%lo"])
def test_hosts_outside(host: object) -> None:
    assert not network.is_local(host)


def test_connecting_outside_is_refused() -> None:
    with socket.socket() as plain, pytest.raises(network.NetworkClosed):
        plain.connect((OUTSIDE, 9))
    assert network.take_refused() == [f"socket.connect {OUTSIDE}"]


def test_a_datagram_outside_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plain, pytest.raises(network.NetworkClosed):
        plain.sendto(b"?", (OUTSIDE, 53))
    assert network.take_refused()


def test_looking_up_a_name_is_refused() -> None:
    with pytest.raises(network.NetworkClosed):
        socket.getaddrinfo("example.org", 80)
    assert network.take_refused()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert network.take_refused() == []


def test_what_a_library_swallows_still_fails_the_test(pytester: pytest.Pytester) -> None:
    """Goal: the fixture, not the exception, has the last word."""
    pytester.makeconftest("from tests.conftest import _closed_network, _no_call_outside\n")
    pytester.makepyfile(
        f"""
        import socket
        def test_sly():
            with socket.socket() as plain:
                try:
                    plain.connect(({OUTSIDE!r}, 9))
                except BaseException:
                    print("nothing happened")
        """
    )
    pytester.runpytest("-p", "no:xdist").assert_outcomes(passed=1, errors=1)
