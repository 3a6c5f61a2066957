"""`python -m tools.benches.codes [--long]`: checking codes against the bare check underneath.

One thread and its own processor time, so per core. A gate's check of a ride code over one ES256
verification with the key at hand; a pay code's over one HMAC-SHA-256 verification: the same
library, in turn, in one run.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from card_protocol import pay_code, ride_code
from card_protocol.code_keys import load_es256
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import IssuerPart
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules, UsedCodes
from card_protocol.signatures import compressed_point, load_public_key, sign
from tools.benches import command
from tools.benches.report import Report, Row, busy_share, publish
from tools.benches.rounds import Round, interleave, ratio

NOW = 1_795_400_000
SLICES = 4  # short rounds in turn: what slows the machine down slows all of them
RIDERS, CODES_PER_RIDER = 500, 8
CARDS = 2_000
LATE_ONE_IN, EARLY_ONE_IN = 10, 50
"""Of 50 pay codes 5 are of the half minute before, 1 of the next: shown, then scanned."""
RAW_SIGNATURE, RIDE = "ES256 verification", "ride code, rider known"
RIDE_NEW, RAW_HMAC = "ride code, rider new", "HMAC verification"
PAY, PAY_CONSUMER = "pay code, 19 digits", "pay code, consumer-presented"
NOTES = {
    RAW_SIGNATURE: "cryptography: key unpacked, signature in DER, the same data",
    RIDE: "bytes in, whose ride out: fields, dates, signature, used once, deny list",
    RIDE_NEW: "the same with the rider's part of the day: two signatures and a key to unpack",
    RAW_HMAC: "hmac.digest and compare_digest, 8 bytes",
    PAY: f"digits in, card and step out: check digit, look-up, 1 in {LATE_ONE_IN} a step late",
    PAY_CONSUMER: "the same from base64 and TLV",
}


@dataclass(slots=True)
class Replaced(UsedCodes):
    """A gate's memory that a pass over the same codes can begin anew."""

    memory: MemoryUsedCodes = field(default_factory=MemoryUsedCodes)

    def claim(self, key: tuple[str, int], ends_at: int, now: int) -> bool:
        return self.memory.claim(key, ends_at, now)


@dataclass(frozen=True, slots=True)
class Passes:
    """A subject that goes over its cases again and again; `one` says whether a case was right."""

    name: str
    cases: Sequence[tuple[object, ...]] = field(repr=False)
    one: Callable[..., object] = field(repr=False)
    begin: Callable[[], object] = field(repr=False, default=lambda: None)

    def run(self, seconds: float) -> Round:
        one, cases, done, right = self.one, self.cases, 0, 0
        self.begin()
        spent, clock = 0.0, time.thread_time  # per core: what others take of it does not count
        while spent < seconds:
            began = clock()
            for case in cases:
                if one(*case):
                    right += 1
            spent += clock() - began
            done += len(cases)
            self.begin()
        return Round(acknowledged=done, found=right, seconds=spent)


def bench(form: command.Form) -> None:
    """Sets up, measures, reports. Raises BenchFailed."""
    busy_before = busy_share()
    began = time.monotonic()
    subjects = (ride_subjects(), pay_subjects())
    form.tell(f"set up in {time.monotonic() - began:.1f} s")
    seen: dict[str, list[Round]] = {}
    for group in subjects:
        seconds, rounds = form.seconds / SLICES, form.rounds * SLICES
        seen |= interleave(group, seconds, rounds, form.tell_round)
    ratios = {
        "ride_verify_raw": ratio(seen[RIDE], seen[RAW_SIGNATURE]),
        "pay_verify_raw": ratio(seen[PAY], seen[RAW_HMAC]),
    }
    rows = [Row(name, seen[name], note) for name, note in NOTES.items()]
    versions = {"cryptography": version("cryptography")}
    took = time.monotonic() - began
    publish(Report("bench-codes", form.name, rows, ratios, versions, took, busy_before))


def ride_subjects() -> tuple[Passes, ...]:
    """The bare signature check, a gate that knows its riders, and one that knows nobody yet."""
    ca, issuer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    riders = [ec.generate_private_key(ec.SECP256R1()) for _ in range(RIDERS)]
    certificate = _certificate(ca, issuer)
    codes, raw = [], []
    for number, rider in enumerate(riders):
        part = _part(certificate, issuer, rider, number).encode()
        for second in range(CODES_PER_RIDER):
            code = ride_code.show(part, NOW + second, partial(sign, rider))
            codes.append((code,))
            raw.append(_raw_case(rider, code))
    codes = codes[::CODES_PER_RIDER] + [
        code for at, code in enumerate(codes) if at % CODES_PER_RIDER
    ]
    used = Replaced()
    rules = RideRules(
        ca_keys={(1, RideSuite.ES256): compressed_point(ca.public_key())},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({certificate.issuer_id}),
        account_types=frozenset({1}),
    )
    gates = {"known": RideCodeVerifier(rules, used, frozenset()), "new": None}
    known = gates["known"]
    assert known is not None
    for (code,) in codes:
        known.verify(code, NOW)

    def forget() -> None:
        used.memory = MemoryUsedCodes()

    def forget_all() -> None:
        forget()
        gates["new"] = RideCodeVerifier(rules, used, frozenset())

    def ride_new(code: bytes) -> object:
        gate = gates["new"]
        assert gate is not None
        return gate.verify(code, NOW)

    return (
        Passes(RAW_SIGNATURE, raw, _verify_raw),
        Passes(RIDE, codes, lambda code: known.verify(code, NOW), forget),
        Passes(RIDE_NEW, codes[:RIDERS], ride_new, forget_all),
    )


def pay_subjects() -> tuple[Passes, ...]:
    """The bare HMAC check, and a pay code in both its forms."""
    keys = {f"{number:08d}": os.urandom(pay_code.KEY_BYTES) for number in range(CARDS)}
    ready = {number: (pay_code.PayCodeKey.of(key),) for number, key in keys.items()}
    now = pay_code.step_at(NOW)
    raw, digits, consumer = [], [], []
    for at, (number, key) in enumerate(keys.items()):
        step = now
        if at % LATE_ONE_IN == 0:
            step = now - 1
        elif at % EARLY_ONE_IN == 1:
            step = now + 1
        counter = step.to_bytes(8)
        raw.append((key, counter, hmac.digest(key, counter, sha256)))
        code = pay_code.PayCode(number, pay_code.one_time_digits(key, step))
        digits.append((code.encode(),))
        consumer.append((code.encode_consumer(),))

    def is_paying(content: str) -> bool:
        number, one_time = pay_code.read(content)
        _, step = pay_code.match(one_time, ready[number], NOW)
        return step > 0

    return (
        Passes(RAW_HMAC, raw, _hmac_raw),
        Passes(PAY, digits, is_paying),
        Passes(PAY_CONSUMER, consumer, is_paying),
    )


def _verify_raw(verify: Callable[..., None], signature: bytes, data: bytes, digest: object) -> bool:
    verify(signature, data, digest)  # raises unless it is genuine
    return True


def _hmac_raw(key: bytes, counter: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key, counter, sha256), expected)


def _raw_case(rider: ec.EllipticCurvePrivateKey, code: bytes) -> tuple[object, ...]:
    public = load_public_key(compressed_point(rider.public_key()))
    r, s = int.from_bytes(code[-64:-32]), int.from_bytes(code[-32:])
    signed = ride_code.signed_bytes(code)
    return public.verify, encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256())


def _certificate(
    ca: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> RideCertificate:
    return RideCertificate(
        ca_index=1,
        issuer_id=bytes(4),
        expiry_month=12,
        expiry_year=2027,
        serial=bytes(3),
        suite=RideSuite.ES256,
        public_key=compressed_point(issuer.public_key()),
    ).signed_by(lambda data: sign(ca, data))


def _part(
    certificate: RideCertificate,
    issuer: ec.EllipticCurvePrivateKey,
    rider: ec.EllipticCurvePrivateKey,
    number: int,
) -> IssuerPart:
    return IssuerPart(
        certificate=certificate,
        account_number=f"{number:016d}",
        card_number=f"{number:019d}",
        issuer_id=certificate.issuer_id,
        platform_id=bytes(4),
        account_type=1,
        ride_max_fen=2_000,
        user_public_key=compressed_point(rider.public_key()),
        authorised_until=NOW + 24 * 3_600,
    ).signed_by(lambda data: sign(issuer, data))


if __name__ == "__main__":
    raise SystemExit(command.run("tools.benches.codes", __doc__, bench))
