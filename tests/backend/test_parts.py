"""Goal: keys and databases belong together; a process that finds only one of them stays down."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from backend.app import VarDamaged, open_parts
from backend.config import ROOT, ConfigInvalid, load_config
from backend.db import Which
from backend.virtual_card import SandboxAttester, VendorKeyDamaged, open_vendor
from tests.support import postgres


@pytest.mark.postgres
def test_no_new_keys_are_made_beside_a_used_postgresql(
    postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    with postgres_server.database(f"{worker_name}_parts") as url:
        shared = url.replace("postgresql://", "postgresql+psycopg://", 1)
        names = {f"CITY_{which.name}_DATABASE": shared for which in (Which.LEDGER,)}
        config = load_config({"CITY_VAR": str(tmp_path / "var"), **names})
        parts = open_parts(config, make=True)
        parts.wallets.open_house()
        parts.databases.close()
        shutil.rmtree(tmp_path / "var")
        with pytest.raises(VarDamaged, match=r"keystore\.json is missing, .* ledger has been used"):
            open_parts(config, make=True)


@pytest.mark.parametrize("lost", ["keys/keystore.json", "keys/kek", "identity.db", "ledger.db"])
def test_what_is_lost_is_named_and_nothing_is_made(tmp_path: Path, lost: str) -> None:
    config = load_config({"CITY_VAR": str(tmp_path)})
    open_parts(config, make=True).databases.close()
    (tmp_path / lost).unlink()
    with pytest.raises(VarDamaged, match=Path(lost).name):
        open_parts(config, make=True)
    assert not (tmp_path / lost).exists()


def test_the_sandbox_vendors_key_is_made_once_for_all_processes(tmp_path: Path) -> None:
    config = load_config({"CITY_VAR": str(tmp_path)})
    roots = []
    for make in (True, False):
        parts = open_parts(config, make=make)
        parts.databases.close()
        assert parts.devices.gate is not None
        assert not parts.devices.gate.is_required
        judge = parts.devices.gate.judge
        assert isinstance(judge, SandboxAttester)
        roots.append(judge.root)
    assert stat.S_IMODE(config.vendor_key_path.stat().st_mode) == 0o600
    key = load_pem_private_key(config.vendor_key_path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert roots == [key.public_key()] * 2


def _pem(curve: ec.EllipticCurve) -> bytes:
    key = ec.generate_private_key(curve)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN PRIVATE KEY-----\n", _pem(ec.SECP384R1())],
    ids=["empty", "cut", "other-curve"],
)
def test_a_damaged_vendor_key_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sandbox_vendor.pem"
    path.write_bytes(content)
    with pytest.raises(VendorKeyDamaged, match=r"sandbox_vendor\.pem holds no P-256 key"):
        open_vendor(path)
    assert path.read_bytes() == content


def test_a_wrong_setting_is_told_before_anything_is_made(tmp_path: Path) -> None:
    text = (ROOT / "city.toml").read_text(encoding="utf-8")
    assert 'judge = "sandbox"' in text
    city = tmp_path / "city.toml"
    city.write_text(text.replace('judge = "sandbox"', 'judge = "play"'), encoding="utf-8")
    config = load_config({"CITY_VAR": str(tmp_path / "var"), "CITY_CONFIG": str(city)})
    with pytest.raises(ConfigInvalid, match=r"judge 'play' is not known: it may be sandbox"):
        open_parts(config, make=True)
    assert not (tmp_path / "var").exists()
