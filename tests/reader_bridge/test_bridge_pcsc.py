"""A genuine PC/SC stack: card in software, virtual reader, pcscd, our reader."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest

from hce.transports.vpcd import VpcdPlug
from reader_bridge.cli import main
from reader_bridge.clock import Clock
from reader_bridge.faults import ReaderFault
from reader_bridge.readers import pcsc
from reader_bridge.terminal import Terminal
from tests.reader_bridge.support import ACTIVATION_CODE, NOW

PRESENT_SECONDS = 5.0


@pytest.fixture
def pcsc_reader(pcscd):
    reader = pcsc.PcscReader("Virtual PCD 00 00")
    yield reader
    reader.close()


@pytest.fixture
def plug(pcscd, kit):
    with VpcdPlug(kit.card(), port=pcscd.vpcd_port) as inserted:
        yield inserted


def wait_until_empty(reader: pcsc.PcscReader) -> None:
    """pcscd notices about twice a second that the card of an earlier test has gone."""
    (name, *_) = reader.list_names()
    flag = pcsc._driver().SCARD_STATE_PRESENT
    assert pcsc._wait(reader._context, name, flag, False, PRESENT_SECONDS)


@pytest.mark.pcsc
def test_sales_through_pcscd(pcsc_reader, plug, backend, folder):
    """The card stays in the field; each sale is a selection and a counter of its own."""
    clock = Clock(unix_now=lambda: float(NOW))
    with Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=clock) as terminal:
        for number in range(1, 4):
            receipt = terminal.sell(
                1250,
                register_reference=f"R{number}",
                reader=pcsc_reader,
                card_seconds=PRESENT_SECONDS,
            )
            assert receipt.is_paid
            assert receipt.application == "CITY CARD"
    assert backend.charges() == [1250] * 3


@pytest.mark.pcsc
def test_the_card_comes_and_goes(pcsc_reader, pcscd, kit):
    wait_until_empty(pcsc_reader)
    assert pcsc_reader.wait_for_card(0.0) is None
    plug = VpcdPlug(kit.card(), port=pcscd.vpcd_port)
    with plug:
        channel = pcsc_reader.wait_for_card(PRESENT_SECONDS)
        assert channel is not None
        assert channel.is_present()
        assert not channel.wait_for_removal(0.0)
        assert channel.transmit(bytes.fromhex("00A404000E325041592E5359532E444446303100"))[-2:] == (
            b"\x90\x00"
        )
    assert channel.wait_for_removal(PRESENT_SECONDS)
    assert not channel.is_present()
    with pytest.raises(ReaderFault, match="card_removed"):
        channel.transmit(bytes.fromhex("00A4040000"))
    channel.close()
    channel.close()


@pytest.mark.pcsc
def test_names_of_readers(pcscd):
    out, err = io.StringIO(), io.StringIO()
    assert main(["readers"], out, err) == 0
    assert "Virtual PCD 00 00" in out.getvalue()
    with pytest.raises(ReaderFault, match="reader_missing"):
        pcsc.PcscReader("no such reader").wait_for_card(0.0)


class NoService:
    """PC/SC as it answers where no service runs, or where it dies under a program."""

    SCARD_S_SUCCESS = 0
    SCARD_SCOPE_USER = 0
    SCARD_STATE_PRESENT = 0x20

    def __init__(self, result: int) -> None:
        self.result = result

    def __getattr__(self, name: str) -> int:
        if not name.startswith("SCARD_"):
            raise AttributeError(name)
        return hash(name)

    def SCardEstablishContext(self, scope: int) -> tuple[int, int]:
        return self.result, 1

    def SCardGetErrorMessage(self, result: int) -> str:
        return "Something broke."


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SCARD_E_NO_SERVICE", "service_missing"),
        ("SCARD_E_NO_READERS_AVAILABLE", "reader_missing"),
        ("SCARD_W_UNRESPONSIVE_CARD", "card_mute"),
        ("SCARD_W_REMOVED_CARD", "card_removed"),
        ("SCARD_F_INTERNAL_ERROR", "reader_failed"),
    ],
)
def test_results_of_pcsc_become_faults(monkeypatch, name, code):
    fake = NoService(hash(name))
    monkeypatch.setattr(pcsc, "scard", fake)
    with pytest.raises(ReaderFault) as caught:
        pcsc.PcscReader().wait_for_card(0.0)
    assert caught.value.code == code


def test_without_the_driver(monkeypatch):
    monkeypatch.setattr(pcsc, "scard", None)
    with pytest.raises(ReaderFault, match="driver_missing"):
        pcsc.PcscReader().wait_for_card(0.0)
    pcsc.PcscReader().close()


def test_waiting_is_bounded(monkeypatch):
    """A service that never sees a card: the wait ends when its time is over."""
    fake = SimpleNamespace(
        SCARD_S_SUCCESS=0,
        SCARD_E_TIMEOUT=10,
        SCARD_STATE_UNAWARE=0,
        SCARD_STATE_PRESENT=0x20,
        SCARD_STATE_CHANGED=2,
        SCardGetStatusChange=lambda context, milliseconds, states: (10, [("r", 0x10, [])]),
    )
    monkeypatch.setattr(pcsc, "scard", fake)
    started = time.monotonic()
    assert not pcsc._wait(1, "r", 0x20, True, 0.05)
    assert 0.05 <= time.monotonic() - started < 5
