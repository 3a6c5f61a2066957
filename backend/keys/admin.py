"""What staff do to keys: announce, rotate, retire, bring in. Each act is told to the trail first.

Serving processes find out by looking at the store; nothing here needs them to stop.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backend.kernel import Clock
from backend.keys import files
from backend.keys.handles import KEY_BYTES, WrapHandle, is_weak, software_handle
from backend.keys.model import (
    NOT_RETIRED,
    NOT_ROTATED,
    Contents,
    KeyEvent,
    KeysRefused,
    KeyState,
    KeyVersion,
    terms_of,
)
from backend.keys.port import KeyRef
from backend.keys.ring import USABLE
from backend.keys.secret import Secret
from backend.keys.trail import Act, Trail, TrailLine
from backend.keys.vault import Vault


@dataclass(frozen=True, slots=True)
class KeyAdmin:
    """Acts on a store. `who` is a member of staff who has logged in."""

    vault: Vault
    clock: Clock

    def contents(self) -> Contents:
        """What the store holds now."""
        return self.vault.store.read()

    def trail(self) -> list[TrailLine]:
        """All acts, checked. Raises KeysRefused."""
        return Trail(self.vault.store).read(self.contents())

    def announce(self, who: str, ref: KeyRef) -> KeyVersion:
        """Make a version that others can fetch before it is used. Raises KeysRefused."""
        _require_rotating(ref)
        with self.acting() as contents:
            require_no_announced(contents, ref)
            return self.add(who, "announce", contents, ref, None)

    def rotate(self, who: str, ref: KeyRef) -> KeyVersion:
        """The announced version, or a fresh one, is for new work; the old one verifies.

        Raises KeysRefused.
        """
        _require_rotating(ref)
        with self.acting() as contents:
            now = self.clock.now()
            announced = contents.find_announced(ref)
            if announced is None:
                number = contents.next_number(ref)
                after = self.vault.make(ref, number, KeyState.ACTIVE, now)
            else:
                after = announced.after(KeyEvent.ACTIVATE, now)
            before = contents.get_active(ref).after(KeyEvent.SUCCEED, now)
            rotated = contents.with_version(before).with_version(after)
            self.write(Act(who, "rotate", after.name, after.check_value), rotated)
            return after

    def retire(self, who: str, ref: KeyRef, number: int, *, understood: bool) -> KeyVersion:
        """Destroy a version that is no longer active.

        Raises KeysRefused: for the active one, before what needs it can be over, and, where nobody
        can know that, unless the operator says that he has understood.
        """
        if ref.purpose in NOT_RETIRED:
            raise KeysRefused(f"{ref.value} is never retired: {NOT_RETIRED[ref.purpose]}")
        with self.acting() as contents:
            now = self.clock.now()
            version = contents.get(ref, number)
            if version.state is KeyState.ACTIVE:
                raise KeysRefused(f"{version.name} is active: rotate {ref.value} first")
            terms = terms_of(ref)
            if version.state is KeyState.VERIFYING and not understood:
                if terms.keep is None:
                    raise KeysRefused(f"{version.name} is still needed by {terms.needed_by}")
                if now < (free_at := version.changed_at + terms.keep):
                    until = f"until {free_at:%Y-%m-%d %H:%M} UTC"
                    raise KeysRefused(f"{version.name} is needed {until} by {terms.needed_by}")
            retired = replace(version.after(KeyEvent.RETIRE, now), sealed=None)
            act = Act(who, "retire", retired.name, retired.check_value)
            self.write(act, contents.with_version(retired))
            self.vault.destroy(version)  # last: an orphan in a device harms nobody
            return retired

    def take_wrapped(self, who: str, ref: KeyRef, wrapped: bytes, check_value: bytes) -> KeyVersion:
        """A key wrapped (RFC 3394) under the transport key comes in, announced.

        Raises KeysRefused when it does not open, is no such key, or is another one.
        """
        require_symmetric(ref)
        with self.acting() as contents:
            require_no_announced(contents, ref)
            secret = Secret(self._unwrap(contents, wrapped))
            check_secret(ref, secret, check_value, "the key")
            return self.add(who, "take-wrapped", contents, ref, secret)

    def move_to_device(self, who: str) -> tuple[KeyVersion, ...]:
        """Every key that the device can hold goes there and leaves the file."""
        moved = []
        with self.acting() as found:
            contents = found
            for version in list(self.vault.left_in_software(found)):
                there = self.vault.move(version)
                act = Act(who, "move", there.name, there.check_value)
                contents = self.write(act, contents.with_version(there))
                moved.append(there)
        return tuple(moved)

    def add(
        self, who: str, act: str, contents: Contents, ref: KeyRef, secret: Secret | None
    ) -> KeyVersion:
        """An announced version with this key or a fresh one. Call while acting."""
        number, now = contents.next_number(ref), self.clock.now()
        if secret is None:
            made = self.vault.make(ref, number, KeyState.ANNOUNCED, now)
        else:
            made = self.vault.take(ref, number, KeyState.ANNOUNCED, now, secret)
        self.write(Act(who, act, made.name, made.check_value), contents.with_version(made))
        return made

    @contextmanager
    def acting(self) -> Iterator[Contents]:
        """The store as it is, to this process alone."""
        with files.alone(self.vault.store.path):
            yield self.vault.store.read()

    def write(self, act: Act, contents: Contents) -> Contents:
        """Tell, then do. Call while acting."""
        told = Trail(self.vault.store).tell(contents, self.clock.now(), act)
        self.vault.store.write(told)
        return told

    def _unwrap(self, contents: Contents, wrapped: bytes) -> bytes:
        for version in contents.of(KeyRef.TRANSPORT):
            if version.state not in USABLE:
                continue
            transport: WrapHandle = self.vault.open(version)  # type: ignore[assignment]
            try:
                return transport.unwrap(wrapped)
            except ValueError:
                continue
        raise KeysRefused("the key is not wrapped under any transport key of this store")


def require_symmetric(ref: KeyRef) -> None:
    """Raises KeysRefused for keys that are made here and nowhere else."""
    if ref.algorithm not in KEY_BYTES:
        raise KeysRefused(f"{ref.value} is a key pair: it is made here and comes from nowhere")
    _require_rotating(ref)


def require_no_announced(contents: Contents, ref: KeyRef) -> None:
    """Raises KeysRefused: one version waits at a time."""
    if (waiting := contents.find_announced(ref)) is not None:
        raise KeysRefused(f"{waiting.name} is announced already: rotate to it, or retire it")


def check_secret(ref: KeyRef, secret: Secret, check_value: bytes, what: str) -> None:
    """Raises KeysRefused unless the bytes are a key of this kind with this check value."""
    try:
        found = software_handle(ref.algorithm, secret.reveal()).check_value()
    except ValueError:
        length = KEY_BYTES[ref.algorithm]
        raise KeysRefused(f"{what} has {len(secret)} bytes, {ref.value} takes {length}") from None
    if is_weak(ref.algorithm, secret.reveal()):
        raise KeysRefused(f"{what} is one that anybody would guess: its bytes or halves are alike")
    if not hmac.compare_digest(found, check_value):
        raise KeysRefused(f"{what} has another key check value than {check_value.hex().upper()}")


def _require_rotating(ref: KeyRef) -> None:
    if why := NOT_ROTATED.get(ref.purpose):
        raise KeysRefused(f"{ref.value} has one version only: {why}")
