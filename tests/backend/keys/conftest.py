"""Key stores of one test each, and a real PKCS#11 token (SoftHSM) in a folder of the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from keys_world import NOW, Files
from softhsm import MODULE, PIN, make_token

from backend.kernel import ManualClock
from backend.keys import NamedKeys, SoftwareKeys
from backend.keys.admin import KeyAdmin
from backend.keys.hsm import TokenDevice
from backend.keys.hsm_sessions import Lease, Sessions
from backend.keys.opening import open_keys
from backend.keys.settings import KeySettings


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A new software store: its file, and its key file elsewhere."""
    store, kek = tmp_path / "deep" / "keystore.json", tmp_path / "elsewhere" / "kek"
    SoftwareKeys.make(store, kek)
    return store, kek


@pytest.fixture
def own(files: Files) -> SoftwareKeys:
    """Keys that this test may change."""
    return SoftwareKeys.open(*files)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def admin(own: SoftwareKeys, clock: ManualClock) -> KeyAdmin:
    return KeyAdmin(own.vault, clock)


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this process's tokens lie; the library reads its setting once, when it is loaded."""
    folder = tmp_path_factory.mktemp("softhsm")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(make_token(folder, "city"))
    yield folder
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture(scope="session")
def hsm_settings(softhsm: Path) -> KeySettings:
    pin = softhsm / "pin"
    pin.write_text(f"{PIN}\n")
    return KeySettings.load(
        {
            "CITY_PKCS11_MODULE": str(MODULE),
            "CITY_PKCS11_TOKEN": "city",
            "CITY_PKCS11_PIN_FILE": str(pin),
            "CITY_PKCS11_SESSIONS": "4",
            "CITY_KEYS_IN_SOFTWARE": "sm4,sm2",
        }
    )


@pytest.fixture(scope="session")
def sessions(hsm_settings: KeySettings) -> Sessions:
    assert hsm_settings.token is not None
    return Sessions(hsm_settings.token)


@pytest.fixture
def token_is_bare(sessions: Sessions) -> None:
    """One token for the run, emptied for each test that makes a store with it."""

    def empty(lease: Lease) -> None:
        assert lease.session is not None
        lease.session.generate_random(8)  # a session lost to a restart is noticed here
        for one in list(lease.session.get_objects()):
            one.destroy()

    sessions.run(empty)


@pytest.fixture
def device(sessions: Sessions, token_is_bare: None) -> TokenDevice:
    return TokenDevice(sessions)


@pytest.fixture
def hsm_files(tmp_path: Path) -> Files:
    return tmp_path / "hsm" / "keystore.json", tmp_path / "hsm" / "kek"


@pytest.fixture
def hsm_keys(
    hsm_settings: KeySettings, hsm_files: Files, token_is_bare: None, clock: ManualClock
) -> NamedKeys:
    """Every key that SoftHSM can hold lies in it."""
    return open_keys(hsm_files, hsm_settings, clock, make=True)
