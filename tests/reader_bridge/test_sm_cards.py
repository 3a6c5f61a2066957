"""The terminal's kernel and cards of the SM suite: taken when genuine, else refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
from card_protocol.signatures import load_public_key
from hce.signer import SoftwareSigner
from hce.state import CardState
from hce.store import MemoryCardStore
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault
from reader_bridge.kernels import mobile_card
from reader_bridge.kernels.mobile_card import AcceptedApplication, IssuerKeys, TapProof
from reader_bridge.readers.loopback import LoopbackReader
from tests.hce.examples import KEY, SIGNER, SM_SIGNER, SM_STATE, STATE, TRANSACTION, Bench

ISSUER = SoftwareSigner(sm2.PrivateKey.generate())
ACCEPTED = (AcceptedApplication(MOBILE_CARD_AID, MOBILE_CARD_LABEL, 1),)
P256_ISSUER = SoftwareSigner.generate(Suite.AES_ES256)
# 65 bytes, as a profile gives them; both are number 1 of their suite
SM2_POINT = sm2.uncompressed(ISSUER.public_key)
P256_POINT = load_public_key(P256_ISSUER.public_key).public_bytes(
    Encoding.X962, PublicFormat.UncompressedPoint
)
ISSUER_KEYS = {(Suite.SM4_SM2, 1): SM2_POINT, (Suite.AES_ES256, 1): P256_POINT}


def state(suite: Suite = Suite.SM4_SM2, issuer: SoftwareSigner = ISSUER) -> CardState:
    of_suite = SM_STATE if suite is Suite.SM4_SM2 else STATE
    return replace(of_suite, certificate=of_suite.certificate.signed_by(issuer.sign))


def tap(transmit: Callable[[bytes], bytes], issuer_keys: IssuerKeys = ISSUER_KEYS) -> TapProof:
    channel = LoopbackReader(transmit).wait_for_card(0)
    assert channel is not None
    return mobile_card.tap(Exchange(channel), TRANSACTION, ACCEPTED, issuer_keys)


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


def test_cards_of_both_suites_are_taken_at_one_terminal() -> None:
    """Goal: two issuer keys with one index stand side by side."""
    sm_card, es256_card = card(state()), card(state(Suite.AES_ES256, P256_ISSUER), SIGNER)
    taken = [tap(one).certificate.suite for one in (sm_card, es256_card, sm_card)]
    assert taken == [Suite.SM4_SM2, Suite.AES_ES256, Suite.SM4_SM2]


def test_an_index_alone_names_no_key() -> None:
    """Goal: without the suite's own key of that index the issuer judges, as with any new index."""
    only = {name: point for name, point in ISSUER_KEYS.items() if name[0] is Suite.AES_ES256}
    assert tap(card(state()), only).certificate.suite is Suite.SM4_SM2
    stranger = card(state(issuer=SoftwareSigner.generate(Suite.SM4_SM2)))
    assert tap(stranger, only).certificate.suite is Suite.SM4_SM2


CLAIMED = {
    "the ES256 issuer's key as SM2 number 1": {(Suite.SM4_SM2, 1): P256_POINT},
    "the SM2 issuer's key as ES256 number 1": {(Suite.AES_ES256, 1): SM2_POINT},
}


@pytest.mark.parametrize("claimed", CLAIMED.values(), ids=CLAIMED)
@pytest.mark.parametrize("issuer", [ISSUER, P256_ISSUER], ids=lambda one: one.suite.name)
def test_a_key_under_the_other_suites_name_vouches_for_nobody(
    claimed: dict[tuple[Suite, int], bytes], issuer: SoftwareSigner
) -> None:
    (suite,) = {name[0] for name in claimed}
    signer = SM_SIGNER if suite is Suite.SM4_SM2 else SIGNER
    with pytest.raises(CardFault, match="certificate_not_genuine"):
        tap(card(state(suite, issuer), signer), claimed)


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
    "a certificate signed by the issuer's key of the other suite": (
        lambda: card(state(issuer=P256_ISSUER)),
        "certificate_not_genuine",
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
