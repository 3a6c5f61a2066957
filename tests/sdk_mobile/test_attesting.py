"""The port to the phone's platform: what is asked, what is sent, and the sandbox's platform."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from card_protocol.signatures import compressed_point
from sdk_mobile import (
    FileStorage,
    MemoryStorage,
    Offline,
    SandboxPlatform,
    SoftwareDeviceKeys,
    Wallet,
)
from sdk_mobile.__main__ import main
from tests.sdk_mobile.conftest import Clock, MakeWallet
from tests.sdk_mobile.fake_backend import CODE, PHONE, Refusal, Reply, Seen
from tests.sdk_mobile.fake_server import ServedBackend, serving

NONCE = bytes(range(56))
VENDOR = ec.generate_private_key(ec.SECP256R1())


class Judging(ServedBackend):
    """A city with a judge; without a nonce one that has none."""

    nonce: bytes | None = NONCE

    def _route(self, seen: Seen, path: str) -> Reply:
        if path != "/v1/me/devices/attestation-nonce":
            return super()._route(seen, path)
        if self.nonce is None:
            raise Refusal(503, "attestation_unavailable")
        return 200, {"nonce": b64u(self.nonce)}

    def _enrol(self, body: dict[str, Any]) -> Reply:
        status, device = super()._enrol(body)
        return status, {**device, "attested": "hardware" if body.get("attestation") else "none"}


@pytest.fixture
def backend(clock: Clock) -> Iterator[Judging]:
    judging = Judging(clock=clock.backend)
    with serving(judging):
        yield judging


class Platform:
    """Vouches with these words; remembers what it was asked."""

    def __init__(self, statement: bytes | None) -> None:
        self.statement = statement
        self.asked: list[tuple[bytes, bytes]] = []

    def attest(self, signing_key: bytes, nonce: bytes) -> bytes | None:
        self.asked.append((signing_key, nonce))
        return self.statement


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def logged_in(make_wallet: MakeWallet, storage: MemoryStorage, platform: object) -> Wallet:
    wallet: Wallet = make_wallet(storage, attester=platform)
    wallet.request_login_code(PHONE)
    wallet.log_in(PHONE, CODE)
    return wallet


def sent(backend: Judging) -> dict[str, object]:
    (body,) = [json.loads(one.body) for one in backend.seen if one.path == "/v1/me/devices"]
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize("statement", [b"the platform's word", None])
def test_the_platform_is_asked_about_our_key_and_the_citys_nonce(
    backend: Judging, make_wallet: MakeWallet, statement: bytes | None
) -> None:
    storage, platform = MemoryStorage(), Platform(statement)
    wallet = logged_in(make_wallet, storage, platform)
    device = wallet.enrol_device("my phone")
    assert platform.asked == [(SoftwareDeviceKeys(storage).signing_public_key(), NONCE)]
    given = None if statement is None else {"nonce": b64u(NONCE), "statement": b64u(statement)}
    assert sent(backend).get("attestation") == given
    assert device.attested == ("none" if statement is None else "hardware")
    assert wallet.enrol_device("again") == device
    assert len(platform.asked) == 1


def test_nobody_is_asked_where_there_is_no_platform(
    backend: Judging, make_wallet: MakeWallet
) -> None:
    logged_in(make_wallet, MemoryStorage(), None).enrol_device("my phone")
    assert not [one for one in backend.seen if one.path.endswith("/attestation-nonce")]
    assert "attestation" not in sent(backend)


def test_a_city_that_cannot_judge_now_is_asked_later(
    backend: Judging, make_wallet: MakeWallet
) -> None:
    backend.nonce = None
    platform = Platform(b"word")
    wallet = logged_in(make_wallet, MemoryStorage(), platform)
    with pytest.raises(Offline):
        wallet.enrol_device("my phone")
    assert (platform.asked, wallet.open_operations()) == ([], ())


def test_the_sandboxs_statement() -> None:
    """As backend.virtual_card.sandbox reads it; there it is judged."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    statement = SandboxPlatform(VENDOR, clock=lambda: 1_795_000_000.9).attest(point, NONCE)
    claims = jwt.decode(
        statement, VENDOR.public_key(), algorithms=["ES256"], options={"verify_iat": False}
    )
    assert claims == {
        "nonce": b64u(NONCE),
        "key": b64u(hashlib.sha256(compressed_point(key)).digest()),
        "model": "sandbox-phone",
        "key_protection": "trusted_environment",
        "os_integrity": "verified",
        "iat": 1_795_000_000,
    }


def test_the_vendors_key_comes_from_a_file_and_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "vendor.pem"
    path.write_bytes(VENDOR.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    platform = SandboxPlatform.load(path)
    assert platform.vendor_key.private_numbers() == VENDOR.private_numbers()
    assert "vendor_key" not in repr(platform)
    with pytest.raises(ValueError, match=r"none\.pem: No such file"):
        SandboxPlatform.load(tmp_path / "none.pem")
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"vendor\.pem: not a P-256 key"):
        SandboxPlatform.load(path)


def test_the_command_line_takes_a_vendors_key(
    backend: Judging, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.clock = time.time  # the command line lives by the real clock
    path = tmp_path / "vendor.pem"
    phone = ["--state", str(tmp_path / "phone"), "--url", backend.url, "--vendor-key", str(path)]
    login = ["login", PHONE, "--code", CODE]
    assert main([*phone, *login]) == 2
    assert capsys.readouterr().err == f"cannot be used: {path}: No such file or directory\n"
    path.write_bytes(VENDOR.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with Wallet(backend.url, FileStorage(tmp_path / "phone")) as wallet:
        wallet.request_login_code(PHONE)
    assert main([*phone, *login]) == 0
    assert main([*phone, "register", "张三", "110101199003070000"]) == 0
    assert main([*phone, "card"]) == 0
    given = sent(backend)["attestation"]
    assert isinstance(given, dict)
    statement = base64.urlsafe_b64decode(given["statement"] + "==")
    claims = jwt.decode(statement, VENDOR.public_key(), algorithms=["ES256"])
    assert claims["nonce"] == b64u(NONCE)
