"""The terminal's kernel and cards of the SM suite: taken when genuine, else refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from card_protocol import sm2
from card_protocol.mobile_card import (
    MOBILE_CARD_AID,
    MOBILE_CARD_LABEL,
    GpoResponse,
    Suite,
    cryptogram_input,
    signature_input,
    verify_cryptogram,
)
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault
from reader_bridge.kernels import mobile_card
from reader_bridge.kernels.mobile_card import AcceptedApplication, TapProof
from reader_bridge.readers.loopback import LoopbackReader
from tests.hce.examples import KEY, SIGNER, SM_SIGNER, SM_STATE, STATE, TRANSACTION, Bench

ISSUER = SoftwareSigner(sm2.PrivateKey.generate())
ACCEPTED = (AcceptedApplication(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1),)
ISSUER_KEYS = {1: sm2.uncompressed(ISSUER.public_key)}  # 65 bytes, as a profile gives them


def state(suite: Suite = Suite.SM4_SM2, issuer: SoftwareSigner = ISSUER) -> CardState:
    of_suite = SM_STATE if suite is Suite.SM4_SM2 else STATE
    return replace(of_suite, certificate=of_suite.certificate.signed_by(issuer.sign))


def tap(transmit: Callable[[bytes], bytes]) -> TapProof:
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return mobile_card.tap(Exchange(channel), TRANSACTION, ACCEPTED, ISSUER_KEYS)


def card(of: CardState, signer: SoftwareSigner = SM_SIGNER) -> Callable[[bytes], bytes]:
    return Bench(MemoryCardStore(of), signer=signer).card.transmit


def changed(change: Callable[[GpoResponse], GpoResponse]) -> Callable[[bytes], bytes]:
    """The genuine card with its GPO answer changed on the way."""
    genuine = card(state())

    def transmit(command: bytes) -> bytes:
        answer = genuine(command)
        if command[1] != 0xA8 or answer[-2:] != b"\x90\x00":
            return answer
        return change(GpoResponse.decode(answer[:-2])).encode() + b"\x90\x00"

    return transmit


def test_a_genuine_sm_card_is_taken_offline() -> None:
    proof = tap(card(state()))
    response = GpoResponse.decode(proof.gpo_response)
    assert (proof.certificate.suite, response.iad.suite) == (Suite.SM4_SM2, Suite.SM4_SM2)
    data = cryptogram_input(proof.pdol_data, response.aip, response.atc, response.iad.encode())
    assert verify_cryptogram(Suite.SM4_SM2, KEY.value, data, response.cryptogram)


def signed_by_p256(response: GpoResponse) -> GpoResponse:
    """The clone's trick: another suite, and a key of his own on the other curve."""
    iad = replace(response.iad, suite=Suite.AES_ES256)
    signed = signature_input(
        TRANSACTION.encode(), response.aip, response.atc, iad.encode(), response.cryptogram
    )
    return replace(response, iad=iad, signature=SIGNER.sign(signed))


UNTRUE: dict[str, tuple[Callable[[], Callable[[bytes], bytes]], str]] = {
    "another issuer": (
        lambda: card(state(issuer=SoftwareSigner.generate(Suite.SM4_SM2))),
        "certificate_not_genuine",
    ),
    "an issuer key of the other suite": (
        lambda: card(state(Suite.AES_ES256, SIGNER), SIGNER),
        "certificate_not_genuine",
    ),
    "another device": (
        lambda: card(state(), SoftwareSigner.generate(Suite.SM4_SM2)),
        "signature_invalid",
    ),
    "altered counter": (
        lambda: changed(lambda response: replace(response, atc=response.atc + 1)),
        "signature_invalid",
    ),
    "signature of zeros": (
        lambda: changed(lambda response: replace(response, signature=bytes(64))),
        "signature_invalid",
    ),
    "another suite told": (lambda: changed(signed_by_p256), "card_suite_unknown"),
}


@pytest.mark.parametrize(("make", "code"), UNTRUE.values(), ids=UNTRUE)
def test_a_card_that_is_not_genuine_is_refused(
    make: Callable[[], Callable[[bytes], bytes]], code: str
) -> None:
    with pytest.raises(CardFault) as caught:
        tap(make())
    assert caught.value.code == code
