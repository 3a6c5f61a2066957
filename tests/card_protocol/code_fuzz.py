"""Mutated codes of every kind against the whole check: a typed refusal, at once, and nothing else.

`fuzz(kind, count, seed)` is what tests and the long form share; the long form is
`python tests/card_protocol/code_fuzz.py 1000000` from the repository's root.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from card_protocol import emvco, pay_code, ride_code
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.ride_verifier import MemoryUsedCodes
from card_protocol.token_number import luhn_check_digit
from tests.card_protocol.code_world import NOW, Identities, Rides

SECONDS_MAX = 0.05
SHORT_COUNT = 20_000
PAY_KEY = pay_code.PayCodeKey.of(bytes(range(32)))
SHORT_NUMBER = "12345678"
CHARACTERS = "0123456789ABCDEFabz+/=_-. *\x00\n老１²\ud800\U0001f68c"
Bytes = Callable[[random.Random, bytes], bytes]


def _flip_bit(source: random.Random, body: bytes) -> bytes:
    at = source.randrange(len(body))
    return body[:at] + bytes((body[at] ^ 1 << source.randrange(8),)) + body[at + 1 :]


def _other_byte(source: random.Random, body: bytes) -> bytes:
    at = source.randrange(len(body))
    return body[:at] + source.randbytes(1) + body[at + 1 :]


def _cut(source: random.Random, body: bytes) -> bytes:
    return body[: source.randrange(len(body))]


def _longer(source: random.Random, body: bytes) -> bytes:
    return body + source.randbytes(source.randint(1, 300))


def _left_out(source: random.Random, body: bytes) -> bytes:
    at = source.randrange(len(body))
    return body[:at] + body[at + source.randint(1, 8) :]


def _put_in(source: random.Random, body: bytes) -> bytes:
    at = source.randrange(len(body) + 1)
    return body[:at] + source.randbytes(source.randint(1, 8)) + body[at:]


def _twice(source: random.Random, body: bytes) -> bytes:
    first, last = sorted(source.sample(range(len(body) + 1), 2))
    return body[:last] + body[first:]


def _swapped(source: random.Random, body: bytes) -> bytes:
    one, two, three = sorted(source.sample(range(len(body) + 1), 3))
    return body[:one] + body[two:three] + body[one:two] + body[three:]


def _zeroed(source: random.Random, body: bytes) -> bytes:
    first, last = sorted(source.sample(range(len(body) + 1), 2))
    return body[:first] + bytes(last - first) + body[last:]


def _length_lie(source: random.Random, body: bytes) -> bytes:
    at = source.randrange(min(len(body), 4))
    return body[:at] + source.choice((b"\x00", b"\x7f", b"\x81", b"\xff")) + body[at + 1 :]


def _noise(source: random.Random, body: bytes) -> bytes:
    return source.randbytes(source.randint(0, 600))


MUTATIONS: Mapping[str, Bytes] = {
    "bit": _flip_bit,
    "byte": _other_byte,
    "cut": _cut,
    "longer": _longer,
    "left out": _left_out,
    "put in": _put_in,
    "twice": _twice,
    "swapped": _swapped,
    "zeroed": _zeroed,
    "length lie": _length_lie,
    "noise": _noise,
}


def _characters(source: random.Random, text: str) -> str:
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(text) + 1)
        middle = "".join(source.choices(CHARACTERS, k=source.randint(0, 3)))
        text = text[:at] + middle + text[at + source.randint(0, 3) :]
    return text


def _digit(source: random.Random, text: str) -> str:
    at = source.randrange(len(text))
    return text[:at] + source.choice("0123456789") + text[at + 1 :]


@dataclass(frozen=True)
class Kind:
    """A genuine code, the whole check of one, and how to mend a checksum (so that more is met)."""

    genuine: bytes | str
    check: Callable[..., object]
    mend: Callable[[str], str] | None = None


@dataclass
class Mix:
    """What was tried and what came of it."""

    kind: str
    tried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    slowest_seconds: float = 0.0

    def __str__(self) -> str:
        tried = ", ".join(f"{name} {count}" for name, count in sorted(self.tried.items()))
        refused = ", ".join(f"{code} {count}" for code, count in self.refused.most_common())
        return (
            f"{self.kind}: {sum(self.tried.values())} tried ({tried}); refused: {refused}; "
            f"not refused {self.accepted}; slowest {self.slowest_seconds * 1000:.1f} ms"
        )


class _NeverUsed(MemoryUsedCodes):
    """Lets a code pass any number of times: its bytes are what is asked about here."""

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        return True


def kinds() -> Mapping[str, Kind]:
    """Every kind with keys of its own."""
    rides, identities = Rides(), Identities()
    gate, ride, identity = rides.gate(_NeverUsed()), rides.code(), identities.code()
    digits = pay_code.one_time_digits(bytes(range(32)), pay_code.step_at(NOW))
    pay = pay_code.PayCode(SHORT_NUMBER, digits)
    merchant = merchant_text()

    def check_pay(content: str) -> object:
        short_number, one_time = pay_code.read(content)
        if short_number != SHORT_NUMBER:
            raise CodeRefused("pay_code_unknown", "no card has this number")
        return pay_code.match(one_time, (PAY_KEY,), NOW)

    return {
        "pay code": Kind(pay.encode(), check_pay, lambda text: text[:-1] + _luhn(text[:-1])),
        "pay code, consumer-presented": Kind(pay.encode_consumer(), check_pay),
        "merchant code": Kind(
            merchant, check_merchant, lambda text: text[:-4] + emvco.crc16(text[:-4].encode())
        ),
        "ride code": Kind(ride, lambda code: gate.verify(code, NOW)),
        "ride code, scanned as text": Kind(
            ride.decode("latin-1"), lambda text: gate.verify(ride_code.from_scanner(text), NOW)
        ),
        "identity code": Kind(identity, lambda text: identities.verifier.verify(text, NOW)),
    }


def _luhn(digits: str) -> str:
    return luhn_check_digit(digits) if digits.isascii() and digits.isdigit() else "0"


def merchant_mac(shop_number: str, amount_fen: int | None, bill_number: str | None) -> bytes:
    data = emvco.code_authentication_input(shop_number, amount_fen, bill_number)
    return hmac.digest(b"issuer", data, hashlib.sha256)[: emvco.MAC_BYTES]


def merchant_text() -> str:
    mac = merchant_mac("S001", 1250, "BILL42")
    return emvco.MerchantCode(
        merchant_account=emvco.MerchantAccount(emvco.MERCHANT_GUID, "S001", "BILL42", mac),
        is_dynamic=True,
        mcc="5812",
        amount_fen=1250,
        merchant_name="LAO WANG NOODLES",
        city="YINCHENG",
        merchant_name_zh="老王面馆",
        city_zh="银城",
        terminal_label="T0000001",
    ).encode()


def check_merchant(text: str) -> None:
    """Shop, amount and bill are the issuer's word; names are taken from the issuer's rows."""
    code = emvco.MerchantCode.decode(text)
    account = code.merchant_account
    mac = merchant_mac(account.shop_number, code.amount_fen, code.bill_number)
    if not hmac.compare_digest(mac, account.mac):
        raise CodeRefused("merchant_code_altered", "the MAC does not fit")
    if (account.shop_number, code.amount_fen, code.bill_number) != ("S001", 1250, "BILL42"):
        raise AssertionError("what the MAC covers was changed, and it fits")
    raise CodeRefused("merchant_code_same_sale", "who is paid and what is as it was")


def mutate(source: random.Random, kind: Kind) -> tuple[str, bytes | str]:
    """(name of the mutation, the mutated code)."""
    if isinstance(kind.genuine, bytes):
        name = source.choice(list(MUTATIONS))
        return name, MUTATIONS[name](source, kind.genuine)
    choice = source.randrange(4)
    if choice == 0:
        name = source.choice(list(MUTATIONS))
        return name, MUTATIONS[name](source, kind.genuine.encode()).decode("latin-1")
    if choice == 1 and kind.genuine.isdigit():
        return "digit", _digit(source, kind.genuine)
    text = _characters(source, kind.genuine)
    if kind.mend is not None and choice >= 2 and text.isprintable():
        return "characters, checksum mended", kind.mend(text)
    return "characters", text


def fuzz(name: str, count: int, seed: int) -> Mix:
    """`count` mutated codes of one kind. Raises what a check raises that is no typed refusal."""
    kind, source, mix = kinds()[name], random.Random(seed), Mix(name)
    while sum(mix.tried.values()) < count:
        mutation, code = mutate(source, kind)
        if code == kind.genuine:
            continue
        mix.tried[mutation] += 1
        # The thread's own time: a check never waits, and a busy machine is not its doing.
        started = time.thread_time()
        try:
            kind.check(code)
            mix.accepted += 1
        except (MalformedBytes, CodeRefused) as refused:
            mix.refused[refused.code] += 1
        mix.slowest_seconds = max(mix.slowest_seconds, time.thread_time() - started)
    return mix


def main(count: int, seed: int) -> int:
    """0 when every code of every kind was refused by type and in time."""
    gc.disable()  # a collection of somebody else's garbage is not the check's time
    worst = 0
    for name in kinds():
        mix = fuzz(name, count, seed)
        sys.stdout.write(f"{mix}\n")
        worst |= mix.accepted > 0 or mix.slowest_seconds > SECONDS_MAX
    return int(worst)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else SHORT_COUNT, 20261123))
