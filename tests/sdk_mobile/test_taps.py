"""Taps of the provisioned card, verified as terminal and backend would; the counter outlives us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from card_protocol import tlv
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.mobile_card import (
    MOBILE_CARD_AID,
    Certificate,
    GpoResponse,
    HolderCheck,
    TransactionData,
    TransactionType,
    compute_cryptogram,
    cryptogram_input,
    signature_input,
    verify_certificate,
    verify_signature,
)
from card_protocol.signatures import compressed_point
from hce.card import Card
from hce.transports.loopback import Loopback
from sdk_mobile import FileStorage, StorageFailed
from sdk_mobile.models import SealedKeys
from sdk_mobile.shapes import decode
from sdk_mobile.state import Kind
from tests.sdk_mobile.test_flows import NOWHERE

PDOL_DATA = TransactionData(
    amount_fen=1_250,
    date=bytes.fromhex("261123"),
    time=bytes.fromhex("120000"),
    transaction_type=TransactionType.PURCHASE,
    unpredictable_number=bytes.fromhex("01020304"),
    terminal_number="00000001",
    merchant_number="000000000000001",
).encode()
SELECT = CommandApdu(0x00, 0xA4, 0x04, 0x00, MOBILE_CARD_AID, 256)
READ = CommandApdu(0x00, 0xB2, 0x01, 0x0C, b"", 256)
GPO = CommandApdu(0x80, 0xA8, 0x00, 0x00, tlv.Tlv(0x83, PDOL_DATA).encode(), 256)


def send(card: Card | Loopback, command: CommandApdu) -> ResponseApdu:
    return ResponseApdu.decode(card.transmit(command.encode()))


def tap(card: Card | Loopback) -> Any:
    assert send(card, SELECT).sw == 0x9000
    answer = send(card, GPO)
    return GpoResponse.decode(answer.data) if answer.sw == 0x9000 else answer.sw


@pytest.fixture
def storage(tmp_path):
    opened = FileStorage(tmp_path / "phone")
    yield opened
    opened.close()


def test_a_tap_offline_carries_what_terminal_and_backend_check(
    ready, make_wallet, storage, backend
):
    card = Loopback(make_wallet(storage, NOWHERE).card(lambda: HolderCheck.BIOMETRIC))
    card.insert()
    proof = tap(card)
    certificate = Certificate.decode(send(card, READ).data)
    view = ready.phone_card()
    assert verify_certificate(certificate, compressed_point(backend.issuer.public_key()))
    assert certificate.token_number == proof.token_number == view.token_number
    iad = proof.iad.encode()
    signed = signature_input(PDOL_DATA, proof.aip, proof.atc, iad, proof.cryptogram)
    assert verify_signature(certificate.device_public_key, signed, proof.signature)
    batch = backend.batches[view.token_id][proof.iad.key_index - 1]
    checked = cryptogram_input(PDOL_DATA, proof.aip, proof.atc, iad)
    expected = compute_cryptogram(proof.iad.suite, batch.limited_use_key, checked)
    assert proof.cryptogram == expected
    assert (proof.atc, proof.iad.holder_check) == (1, HolderCheck.BIOMETRIC)


def test_the_counter_goes_on_after_a_restart_and_through_a_refill(
    ready, make_wallet, storage, backend
):
    assert [tap(ready.card()).atc for _ in range(3)] == [1, 2, 3]
    ready.close()
    again = make_wallet(storage)
    card = again.card()
    assert [tap(card).atc for _ in range(11)] == list(range(4, 15))
    assert again.refill_keys_if_needed() is True  # 6 of 20 left
    assert b'"atc":14' in backend.seen[-1].body
    proof = tap(card)
    assert (proof.atc, proof.iad.key_index) == (15, 2)
    assert again.refill_keys_if_needed() is False


def test_a_refill_answered_twice_gives_no_use_back(ready, backend):
    for _ in range(20):
        tap(ready.card())
    assert tap(ready.card()) == 0x6985  # every use is spent
    ready.refill_keys_if_needed()
    keys = ready._box.find_keys(ready.phone_card().token_id)
    assert tap(ready.card()).iad.key_index == 2
    assert keys is not None
    assert ready._box.counter(keys.token_id).uses == 1


def test_keys_learnt_late_do_not_take_the_place_of_newer_ones(ready, backend, clock):
    card = ready.phone_card()
    late = decode(SealedKeys, backend._keys(backend.cards[card.token_id]))
    newer = decode(SealedKeys, backend._keys(backend.cards[card.token_id]))
    ready._box.put_keys(card, newer)
    ready._box.put_keys(card, late)
    assert tap(ready.card()).iad.key_index == newer.key_index == late.key_index + 1


def test_keys_too_old_make_no_tap_and_spend_no_number(ready, clock, backend):
    tap(ready.card())
    clock.seconds += backend.keys_seconds + 1
    assert tap(ready.card()) == 0x6985
    clock.seconds -= backend.keys_seconds
    assert tap(ready.card()).atc == 2


def test_a_plugged_card_stops_with_the_loss_report(ready):
    card = ready.card()
    assert tap(card).atc == 1
    ready.report_loss()
    assert send(card, SELECT).sw == 0x6283
    assert send(card, GPO).sw == 0x6985
    ready.release()
    assert tap(card).atc == 2


def test_a_counter_that_cannot_be_stored_gives_no_answer(ready, storage, monkeypatch):
    card = ready.card()
    send(card, SELECT)

    def fail(name, content):
        raise StorageFailed(name, "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", fail)
        assert send(card, GPO) == ResponseApdu(b"", 0x6F00)
    card.reset()
    assert tap(card).atc == 1


TAPPER = """
import sys
from pathlib import Path
from typing import Any
from sdk_mobile import FileStorage, Wallet
card = Wallet("http://127.0.0.1:9", FileStorage(Path(sys.argv[1]))).card()
select, gpo = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
while True:
    card.transmit(select)
    print(card.transmit(gpo).hex(), flush=True)
"""


def test_kill_nine_between_taps_never_gives_one_number_twice(ready, tmp_path, backend):
    """Goal: every answer that left the card, over all lives of the app, has its own ATC."""
    backend.keys_uses_max, backend.keys_seconds = 60_000, 10**9
    ready._operations.perform(Kind.REFILL_KEYS, ready._commands.refill_keys)
    given = []
    for taps in (1, 4, 9):
        arguments = [str(tmp_path / "phone"), SELECT.encode().hex(), GPO.encode().hex()]
        with subprocess.Popen(
            [sys.executable, "-c", TAPPER, *arguments],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as app:
            assert app.stdout is not None
            lines = [app.stdout.readline() for _ in range(taps)]
            app.kill()
            lines += app.stdout.read().split(b"\n")
        for line in lines:
            answer = ResponseApdu.decode(bytes.fromhex(line.decode())) if len(line) > 200 else None
            if answer is not None:
                given.append(GpoResponse.decode(answer.data).atc)
    assert len(given) >= 14
    assert given == sorted(set(given))
