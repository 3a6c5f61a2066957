"""Keys that come in by parts: no one person ever has more than his own (dual control).

Each part is entered by another member of staff, at another time if need be, with its own check
value. The parts lie in the store, sealed; their XOR becomes an announced version, and the parts
go. What is not finished in a day ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from backend.keys.admin import (
    KeyAdmin,
    check_secret,
    require_no_announced,
    require_symmetric,
)
from backend.keys.model import (
    PARTS,
    Ceremony,
    Component,
    Contents,
    KeysRefused,
    KeyVersion,
)
from backend.keys.port import KeyRef
from backend.keys.secret import Secret
from backend.keys.trail import Act

OPEN_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ceremonies:
    """Begin, add parts, abandon."""

    admin: KeyAdmin

    def begin(self, who: str, ref: KeyRef, parts: int, check_value: bytes) -> Ceremony:
        """Await 2 or 3 parts of a key with this check value. Raises KeysRefused."""
        require_symmetric(ref)
        if parts not in PARTS:
            raise KeysRefused(f"a key comes in 2 or 3 parts, not {parts}")
        with self.admin.acting() as found:
            contents = self._swept(found)
            require_no_announced(contents, ref)
            if _find(contents, ref) is not None:
                raise KeysRefused(f"{ref.value} is coming in already: add to it, or abandon it")
            begun = Ceremony(
                ref=ref,
                parts=parts,
                check_value=check_value.hex(),
                begun_by=who,
                expires_at=self.admin.clock.now() + OPEN_FOR,
            )
            self._write(who, "ceremony-begin", contents, begun)
            return begun

    def add(
        self, who: str, ref: KeyRef, part: Secret, check_value: bytes
    ) -> tuple[Ceremony, KeyVersion | None]:
        """One person's part; with the last one, the announced version.

        Raises KeysRefused for somebody who has entered one, for a part with another check value,
        and when the parts are not the key that was told: then all of them go.
        """
        with self.admin.acting() as found:
            contents = self._swept(found)
            ceremony = _find(contents, ref)
            if ceremony is None:
                raise KeysRefused(f"{ref.value}: no ceremony is open")
            if who.casefold() in {one.who.casefold() for one in ceremony.components}:
                raise KeysRefused(f"{who} has entered a part already: another person must")
            check_secret(ref, part, check_value, "the part")
            row = self._component(who, ceremony, part, check_value)
            ceremony = replace(ceremony, components=(*ceremony.components, row))
            contents = self._write(who, "ceremony-part", contents, ceremony, row.check_value)
            if len(ceremony.components) < ceremony.parts:
                return ceremony, None
            return ceremony, self._finish(who, contents, ceremony)

    def abandon(self, who: str, ref: KeyRef) -> None:
        """Forget the parts. Raises KeysRefused when no ceremony is open."""
        with self.admin.acting() as contents:
            ceremony = _find(contents, ref)
            if ceremony is None:
                raise KeysRefused(f"{ref.value}: no ceremony is open")
            self._end(who, "ceremony-abandon", contents, ceremony)

    def _finish(self, who: str, contents: Contents, ceremony: Ceremony) -> KeyVersion:
        unseal = self.admin.vault.store.unseal
        key = b""
        for place, one in enumerate(ceremony.components):
            part = unseal(_place(ceremony, place), one.sealed)
            key = _xor(key, part) if key else part
        secret = Secret(key)
        try:
            check_secret(ceremony.ref, secret, bytes.fromhex(ceremony.check_value), "the whole key")
        except KeysRefused as refused:
            self._end(who, "ceremony-failed", contents, ceremony)
            raise KeysRefused(f"{refused}; the parts are forgotten, begin anew") from None
        others = tuple(one for one in contents.ceremonies if one.ref is not ceremony.ref)
        ended = replace(contents, ceremonies=others)
        return self.admin.add(who, "ceremony-finish", ended, ceremony.ref, secret)

    def _component(
        self, who: str, ceremony: Ceremony, part: Secret, check_value: bytes
    ) -> Component:
        place = _place(ceremony, len(ceremony.components))
        sealed = self.admin.vault.store.seal(place, part.reveal())
        return Component(who, check_value.hex(), self.admin.clock.now(), sealed)

    def _swept(self, contents: Contents) -> Contents:
        """Without ceremonies that nobody finished in time."""
        for one in contents.ceremonies:
            if one.expires_at <= self.admin.clock.now():
                contents = self._end("the clock", "ceremony-expired", contents, one)
        return contents

    def _end(self, who: str, act: str, contents: Contents, ceremony: Ceremony) -> Contents:
        others = tuple(one for one in contents.ceremonies if one.ref is not ceremony.ref)
        told = replace(contents, ceremonies=others)
        return self.admin.write(Act(who, act, ceremony.ref.value, ceremony.check_value), told)

    def _write(
        self, who: str, act: str, contents: Contents, ceremony: Ceremony, check_value: str = ""
    ) -> Contents:
        others = tuple(one for one in contents.ceremonies if one.ref is not ceremony.ref)
        told = replace(contents, ceremonies=(*others, ceremony))
        value = check_value or ceremony.check_value
        return self.admin.write(Act(who, act, ceremony.ref.value, value), told)


def _find(contents: Contents, ref: KeyRef) -> Ceremony | None:
    return next((one for one in contents.ceremonies if one.ref is ref), None)


def _place(ceremony: Ceremony, number: int) -> str:
    return f"ceremony/{ceremony.ref.value}/{ceremony.expires_at.isoformat()}/{number}"


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
