"""Where keys are made, brought in and destroyed: in the store's file, or in a device beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidTag

from backend.keys.handles import Handle, fresh_secret, software_handle
from backend.keys.model import PKCS11, SOFTWARE, Contents, KeyState, KeyVersion
from backend.keys.port import KeyRef
from backend.keys.secret import Secret
from backend.keys.store import KeystoreDamaged, Store


class Device(Protocol):
    """A place that keeps keys and works with them; they do not come out. Raises KeyUnavailable."""

    def does(self, algorithm: str) -> bool:
        """Whether it makes and uses keys of this algorithm."""

    def make(self, name: str, algorithm: str) -> Handle: ...

    def take(self, name: str, algorithm: str, secret: bytes) -> Handle:
        """Bring a key in. What lies there under this name already goes."""

    def open(self, name: str, algorithm: str, point: bytes) -> Handle:
        """Raises KeyUnknown when there is none of this name."""

    def destroy(self, name: str) -> None:
        """Nothing happens when there is none."""


@dataclass(frozen=True, slots=True)
class Vault:
    """The store's file, and the device if there is one."""

    store: Store
    device: Device | None = None

    def place_for(self, ref: KeyRef) -> str:
        """Where a new version is made."""
        if self.device is None:
            return SOFTWARE
        return PKCS11 if self.device.does(ref.algorithm) else SOFTWARE

    def make(self, ref: KeyRef, number: int, state: KeyState, now: datetime) -> KeyVersion:
        """A new version with a fresh key."""
        born = KeyVersion(ref, number, state, created_at=now, changed_at=now)
        if self.place_for(ref) == PKCS11 and self.device is not None:
            return _version(born, PKCS11, self.device.make(born.name, ref.algorithm))
        return self._hold(born, fresh_secret(ref.algorithm))

    def take(
        self, ref: KeyRef, number: int, state: KeyState, now: datetime, secret: Secret
    ) -> KeyVersion:
        """A new version with a key from elsewhere. Raises ValueError when it is no such key."""
        born = KeyVersion(ref, number, state, created_at=now, changed_at=now)
        if self.place_for(ref) == PKCS11 and self.device is not None:
            handle = self.device.take(born.name, ref.algorithm, secret.reveal())
            return _version(born, PKCS11, handle)
        return self._hold(born, secret.reveal())

    def move(self, version: KeyVersion) -> KeyVersion:
        """The same key, in the device from now on. Raises KeystoreDamaged."""
        if self.device is None or version.sealed is None:
            raise KeystoreDamaged(f"keystore: {version.name} cannot be moved")
        secret = self.store.unseal(version.name, version.sealed)
        handle = self.device.take(version.name, version.ref.algorithm, secret)
        moved = replace(version, place=PKCS11, sealed=None)
        return _same(moved, handle)

    def destroy(self, version: KeyVersion) -> KeyVersion:
        """The version without its key."""
        if version.place == PKCS11:
            if self.device is None:
                raise KeystoreDamaged(f"keystore: {version.name} lies in a PKCS#11 token")
            self.device.destroy(version.name)
        return replace(version, sealed=None)

    def open(self, version: KeyVersion) -> Handle:
        """Ready to work. Raises KeystoreDamaged, KeyUnknown, KeyUnavailable."""
        algorithm = version.ref.algorithm
        if version.place == PKCS11:
            if self.device is None:
                raise KeystoreDamaged(
                    f"keystore: key {version.name} lies in a PKCS#11 token, and none is set: "
                    "CITY_PKCS11_MODULE, CITY_PKCS11_TOKEN, CITY_PKCS11_PIN_FILE"
                )
            found = self.device.open(version.name, algorithm, bytes.fromhex(version.point))
            return self._checked(version, found)
        if version.sealed is None:
            raise KeystoreDamaged(f"keystore: key {version.name} is missing in {self.store.path}")
        try:
            secret = self.store.unseal(version.name, version.sealed)
            return self._checked(version, software_handle(algorithm, secret))
        except (InvalidTag, ValueError):
            raise KeystoreDamaged(f"keystore: key {version.name} does not open") from None

    def check_active(self, contents: Contents) -> None:
        """Raises KeystoreDamaged for a key that nobody can use for new work."""
        for ref in KeyRef:
            if all(one.state is not KeyState.ACTIVE for one in contents.of(ref)):
                raise KeystoreDamaged(f"keystore: {ref.value} has no active version")

    def left_in_software(self, contents: Contents) -> Iterable[KeyVersion]:
        """Versions that the device could hold and does not."""
        for one in contents.versions:
            usable = one.state is not KeyState.RETIRED
            if usable and one.place == SOFTWARE and self.place_for(one.ref) == PKCS11:
                yield one

    def _hold(self, born: KeyVersion, secret: bytes) -> KeyVersion:
        handle = software_handle(born.ref.algorithm, secret)
        return _version(born, SOFTWARE, handle, self.store.seal(born.name, secret))

    def _checked(self, version: KeyVersion, handle: Handle) -> Handle:
        _same(version, handle)
        return handle


def _same(version: KeyVersion, handle: Handle) -> KeyVersion:
    if handle.check_value().hex() != version.check_value:
        raise KeystoreDamaged(
            f"keystore: another key lies where {version.name} should be: key check value "
            f"{handle.check_value().hex()}, not {version.check_value}"
        )
    return version


def _version(born: KeyVersion, place: str, handle: Handle, sealed: str | None = None) -> KeyVersion:
    return replace(
        born,
        place=place,
        check_value=handle.check_value().hex(),
        point=getattr(handle, "point", b"").hex(),
        sealed=sealed,
    )
