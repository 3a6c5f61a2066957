"""Opens the keystore that the settings describe: in files, or with a PKCS#11 token beside them."""

from __future__ import annotations

from pathlib import Path

import structlog

from backend.kernel import Clock
from backend.keys.port import KeyRef, KeyUnavailable, KeyUnknown
from backend.keys.service import NamedKeys
from backend.keys.settings import KeySettings
from backend.keys.software import SoftwareKeys, complete, make_store
from backend.keys.store import KeystoreDamaged, Store
from backend.keys.vault import Device, Vault

log = structlog.get_logger(__name__)


def open_keys(
    files: tuple[Path, Path], settings: KeySettings, clock: Clock, *, make: bool = False
) -> NamedKeys:
    """The keys in a store and its key file; with `make`, new ones where there is no store yet.

    Raises KeystoreDamaged, in one line that an operator understands.
    """
    store, kek_file = files
    device = _device(settings)
    _check_does_all(device, settings.in_software)  # first: a store half made is a store damaged
    reached = (
        make_store(store, kek_file, settings.passphrase)
        if make
        else Store.reach(store, kek_file, settings.passphrase)
    )
    vault = Vault(reached, device)
    try:
        contents = complete(vault, clock, is_new=make)
        keys = SoftwareKeys(vault) if device is None else NamedKeys(vault)
    except (KeyUnknown, KeyUnavailable) as error:
        raise KeystoreDamaged(f"keystore: {error}") from None
    if device is not None:
        for version in vault.left_in_software(contents):
            log.warning("key_not_in_token", key=version.name)
        if settings.in_software:
            log.warning("keys_in_software", algorithms=sorted(settings.in_software))
    return keys


def _check_does_all(device: Device | None, in_software: frozenset[str]) -> None:
    """What a token cannot do stays in the file only where the operator has said so."""
    if device is None:
        return
    algorithms = dict.fromkeys(ref.algorithm for ref in KeyRef)
    lacking = [one for one in algorithms if not device.does(one) and one not in in_software]
    if lacking:
        raise KeystoreDamaged(
            f"keystore: the PKCS#11 token cannot do {', '.join(lacking)}: let the software "
            f"keystore hold those keys with CITY_KEYS_IN_SOFTWARE={','.join(lacking)}"
        )


def _device(settings: KeySettings) -> Device | None:
    if settings.token is None:
        return None
    # Only where a token is set: its library need not be installed elsewhere.
    from backend.keys.hsm import TokenDevice  # noqa: PLC0415
    from backend.keys.hsm_sessions import Sessions  # noqa: PLC0415

    return TokenDevice(Sessions(settings.token))
