"""A phone and its SM2 key: told at enrolment, or when the city asks for it; never two keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from card_protocol import sm2
from card_protocol.mobile_card import (
    Certificate,
    Suite,
    cryptogram_input,
    is_signed_by_device,
    verify_certificate,
    verify_cryptogram,
)
from hce.transports.loopback import Loopback
from sdk_mobile import MemoryStorage, NotReady, OutcomeUnknown, Refused, SoftwareDeviceKeys, Wallet
from sdk_mobile.keys import SM2_SIGNING
from sdk_mobile.models import Device
from sdk_mobile.shapes import decode, encode
from sdk_mobile.state import Kind, StateDocument
from tests.sdk_mobile.conftest import Clock, MakeWallet
from tests.sdk_mobile.fake_backend import CODE, PHONE
from tests.sdk_mobile.fake_server import Fault, serving
from tests.sdk_mobile.sm_backend import SmBackend
from tests.sdk_mobile.test_flows import NOWHERE
from tests.sdk_mobile.test_sm_suite import OldKeystore
from tests.sdk_mobile.test_taps import PDOL_DATA, READ, send, tap


@pytest.fixture
def backend(clock: Clock) -> Iterator[SmBackend]:
    with serving(SmBackend(clock=clock.backend)) as running:
        assert isinstance(running, SmBackend)
        yield running


def begin(wallet: Wallet) -> Wallet:
    wallet.request_login_code(PHONE)
    wallet.log_in(PHONE, CODE)
    wallet.register("张三", "110101199003070000")
    wallet.open_wallet()
    return wallet


@pytest.fixture
def enrolled_before(backend: SmBackend, make_wallet: MakeWallet, storage: Any) -> Wallet:
    """A phone enrolled by an app that knew no SM2 key, with today's app on it."""
    old = begin(make_wallet(storage, keys=OldKeystore(storage)))
    old.enrol_device("my phone")
    assert backend.sm2_keys == {}
    return make_wallet(storage)


def bodies(backend: SmBackend, suffix: str) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in backend.seen if one.path.endswith(suffix)]


def require_sm_tap(wallet: Wallet, backend: SmBackend) -> None:
    """A tap as terminal and issuer check it."""
    reader = Loopback(wallet.card())
    reader.insert()
    proof = tap(reader)
    certificate = Certificate.decode(send(reader, READ).data)
    assert verify_certificate(certificate, backend.sm_issuer.public_key)
    assert is_signed_by_device(certificate, PDOL_DATA, proof)
    assert (certificate.suite, proof.iad.suite) == (Suite.SM4_SM2, Suite.SM4_SM2)
    key = backend.batches[wallet.phone_card().token_id][proof.iad.key_index - 1].limited_use_key
    data = cryptogram_input(PDOL_DATA, proof.aip, proof.atc, proof.iad.encode())
    assert verify_cryptogram(Suite.SM4_SM2, key, data, proof.cryptogram)


def test_a_phone_enrols_with_the_key_and_gets_a_card_of_the_suite(
    backend: SmBackend, make_wallet: MakeWallet, storage: Any
) -> None:
    wallet = begin(make_wallet(storage))
    device = wallet.enrol_device("my phone")
    assert device.suites == (1, 2)
    own = SoftwareDeviceKeys(storage).signing_public_key(Suite.SM4_SM2)
    assert backend.sm2_keys == {device.device_id: sm2.compressed(own)}
    wallet.provision_card()
    require_sm_tap(make_wallet(storage, NOWHERE), backend)
    assert backend.done["sm2"] == 0
    assert wallet.add_sm2_key() == device  # nothing to do, nothing sent
    assert backend.done["sm2"] == 0


def test_the_key_is_made_when_it_is_first_told(
    backend: SmBackend, make_wallet: MakeWallet, storage: Any
) -> None:
    wallet = begin(make_wallet(storage))
    assert storage.read(SM2_SIGNING) is None
    wallet.enrol_device("my phone")
    kept = storage.read(SM2_SIGNING)
    assert kept is not None
    assert sm2.is_der(kept)


def test_a_phone_of_before_tells_its_key_when_the_city_asks(
    backend: SmBackend, enrolled_before: Wallet
) -> None:
    """Goal: the holder notices nothing of a city's change of suite."""
    card = enrolled_before.provision_card()
    assert (backend.done["sm2"], card.state) == (1, "active")
    assert enrolled_before.enrol_device("my phone").suites == (1, 2)  # as remembered
    assert len(bodies(backend, "/v1/me/cards")) == 2
    require_sm_tap(enrolled_before, backend)


def test_so_does_a_phone_a_card_is_moved_to(backend: SmBackend, enrolled_before: Wallet) -> None:
    card = enrolled_before.move_card("tok_old")
    assert (backend.done["sm2"], card.state) == (1, "active")
    require_sm_tap(enrolled_before, backend)


def test_a_city_of_the_older_suite_asks_for_nothing(
    backend: SmBackend, enrolled_before: Wallet
) -> None:
    backend.suite = Suite.AES_ES256
    enrolled_before.provision_card()
    assert (backend.done["sm2"], backend.sm2_keys) == (0, {})


def test_a_keystore_without_sm2_hears_why_it_gets_no_card(
    backend: SmBackend, make_wallet: MakeWallet, storage: Any
) -> None:
    wallet = begin(make_wallet(storage, keys=OldKeystore(storage)))
    assert wallet.enrol_device("my phone").suites == (1,)
    with pytest.raises(Refused) as refused:
        wallet.provision_card()
    assert (refused.value.code, refused.value.data["suite"]) == ("device_key_missing", "sm4_sm2")
    with pytest.raises(NotReady) as not_ready:
        wallet.add_sm2_key()
    assert not_ready.value.code == "suite_not_supported"
    assert wallet.open_operations() == ()


def test_no_key_before_enrolment(make_wallet: MakeWallet, storage: Any) -> None:
    with pytest.raises(NotReady, match="enrol"):
        begin(make_wallet(storage)).add_sm2_key()


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.HALF_ANSWER, Fault.DROP_BEFORE])
def test_a_lost_answer_about_the_key_is_learnt_later(
    backend: SmBackend, enrolled_before: Wallet, make_wallet: MakeWallet, storage: Any, fault: Fault
) -> None:
    """Goal: the same bytes again, also after a restart, and the one key is told once."""
    backend.fault = lambda method, path: fault if path.endswith("/sm2-key") else None
    with pytest.raises(OutcomeUnknown):
        enrolled_before.provision_card()
    backend.fault = lambda method, path: None
    restarted = make_wallet(storage)
    (outcome,) = restarted.resume()
    assert (outcome.kind, outcome.refusal) == (Kind.ADD_SM2_KEY, None)
    assert backend.done["sm2"] == 1
    assert len({json.dumps(one) for one in bodies(backend, "/sm2-key")}) == 1
    restarted.provision_card()
    require_sm_tap(restarted, backend)


def test_a_refused_key_is_no_card(backend: SmBackend, enrolled_before: Wallet) -> None:
    device_id = enrolled_before.enrol_device("my phone").device_id
    another = {device_id: sm2.PrivateKey.generate().public_key}

    def somebody_is_first(method: str, path: str) -> None:
        if path.endswith("/sm2-key"):
            backend.sm2_keys = another

    backend.fault = somebody_is_first
    with pytest.raises(Refused) as refused:
        enrolled_before.provision_card()
    assert refused.value.code == "device_key_exists"
    assert enrolled_before.open_operations() == ()


def test_a_state_of_before_suites_is_read(enrolled_before: Wallet, storage: Any) -> None:
    document = StateDocument(storage)
    device = document.read().device
    assert device is not None
    written = {name: value for name, value in encode(device).items() if name != "suites"}
    assert decode(Device, written) == replace(device, suites=(1,))


def test_proofs_of_phones_with_both_keys_stay_es256(
    backend: SmBackend, make_wallet: MakeWallet
) -> None:
    """Goal: log-in, enrolment and the word for the further key are by the P-256 key."""
    wallet = begin(make_wallet(MemoryStorage()))
    wallet.enrol_device("my phone")
    wallet.provision_card()
    (enrolment,) = bodies(backend, "/v1/me/devices")
    assert enrolment["signing_key"]["crv"] == enrolment["sealing_key"]["crv"] == "P-256"
    assert enrolment["sm2"]["signing_key"]["crv"] == "SM2"
