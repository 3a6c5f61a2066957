"""Ride codes as a gate's camera sees them: a noisy, tilted picture in, the gate's decision out.

A picture that cannot be read costs its time, and the gate looks at the next one.
"""

from __future__ import annotations

import io
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import qrcode
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image, ImageFilter

from card_protocol import ride_code
from card_protocol.deny_list import DenyList
from card_protocol.ride_certificate import RideCertificate, RideSuite
from card_protocol.ride_code import AccountType, IssuerPart
from card_protocol.signatures import compressed_point, sign
from card_protocol.terminal_profile import RideAuthorities
from reader_bridge.codes import decode_picture_bytes
from reader_bridge.faults import Fault
from reader_bridge.offline import RideGate, SqliteUsedCodes
from tools.benches.reader_decide import TimedPasses
from tools.benches.reader_world import make_profile
from tools.benches.rounds import Round

NAME = "ride code"
WIDTH, HEIGHT = 640, 480
CODE_PIXELS: Final = 420  # how large the phone's code is in the picture
TILT_DEGREES: Final = 6.0
NOISE: Final = 40.0  # standard deviation of a grey value of 0 to 255, before it is mixed in
NOISE_SHARE: Final = 0.25
BLUR_PIXELS: Final = 0.6
JPEG_QUALITY: Final = 80
FRAMES: Final = 2  # that a rider holds the phone still for
PAPER, ROOM = 235, 70  # a screen is not white, and what is round it is dark
ISSUER_ID: Final = bytes(4)
CA_INDEX: Final = 1
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Shown:
    """A phone held to the gate: pictures of one code, and whose ride it is."""

    frames: Sequence[bytes] = field(repr=False)
    card_number: str


@dataclass(slots=True)
class RideSubject:
    """Every pass is a gate that starts: nobody known, no code used yet."""

    phones: Sequence[Shown]
    authorities: RideAuthorities
    deny_list: DenyList
    now: int
    folder: Path
    name: str = NAME

    def run(self, seconds: float) -> Round:
        with tempfile.TemporaryDirectory(prefix="rides-", dir=self.folder) as place:
            opened: list[SqliteUsedCodes] = []

            def begin() -> Callable[[Shown], bool]:
                used = SqliteUsedCodes(Path(place) / f"used-{len(opened)}.db")
                opened.append(used)
                profile = make_profile(self.now, rides=self.authorities)
                return partial(self.check, RideGate(profile, self.deny_list, used))

            try:
                return TimedPasses(self.name, self.phones, begin).run(seconds)
            finally:
                for used in opened:
                    used.close()

    def check(self, gate: RideGate, shown: Shown) -> bool:
        """Picture to decision; whether it was the right one."""
        codes = next(filter(None, map(decode_picture_bytes, shown.frames)), ())
        try:
            accepted = [gate.check(code, self.now) for code in codes]
        except Fault:
            return False
        return [one.part.card_number for one in accepted] == [shown.card_number]


def ride_subject(deny_list: DenyList, now: int, riders: int, folder: Path) -> RideSubject:
    """A phone per rider: half of the pictures are PNG, half JPEG."""
    ca, issuer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificate = RideCertificate(
        ca_index=CA_INDEX,
        issuer_id=ISSUER_ID,
        expiry_month=12,
        expiry_year=2049,
        serial=bytes(3),
        suite=RideSuite.ES256,
        public_key=compressed_point(issuer.public_key()),
    ).signed_by(partial(sign, ca))
    dice, phones = random.Random(_SEED), list[Shown]()  # noqa: S311 - noise, not keys
    for number in range(riders):
        card_number = f"{number:019d}"
        code = _code(certificate, issuer, card_number, now)
        kind = "PNG" if number % 2 else "JPEG"
        phones.append(Shown(make_frames(code, dice, kind), card_number))
    authorities = RideAuthorities(
        suite=RideSuite.ES256,
        ca_keys={CA_INDEX: compressed_point(ca.public_key())},
        issuers=frozenset({ISSUER_ID}),
        account_types=frozenset({int(AccountType.ORDINARY)}),
        validity_seconds_max=30,
    )
    return RideSubject(phones, authorities, deny_list, now, folder)


def _code(
    certificate: RideCertificate,
    issuer: ec.EllipticCurvePrivateKey,
    card_number: str,
    now: int,
) -> bytes:
    rider = ec.generate_private_key(ec.SECP256R1())
    part = IssuerPart(
        certificate=certificate,
        account_number=card_number[-16:],
        card_number=card_number,
        issuer_id=ISSUER_ID,
        platform_id=bytes(4),
        account_type=AccountType.ORDINARY,
        ride_max_fen=2_000,
        user_public_key=compressed_point(rider.public_key()),
        authorised_until=now + 24 * 3_600,
    ).signed_by(partial(sign, issuer))
    return ride_code.show(part.encode(), now, partial(sign, rider))


def make_frames(code: bytes, dice: random.Random, kind: str) -> tuple[bytes, ...]:
    """Pictures of 640x480 in grey, as a camera takes them one after the other."""
    symbol = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, mask_pattern=0)
    symbol.add_data(qrcode.util.QRData(code, mode=qrcode.util.MODE_8BIT_BYTE))
    symbol.make()
    modules = symbol.get_matrix()
    side = len(modules)
    plain = Image.new("L", (side, side))
    plain.putdata([0 if dark else PAPER for line in modules for dark in line])
    screen = plain.resize((CODE_PIXELS, CODE_PIXELS), Image.Resampling.BICUBIC)
    return tuple(_frame(screen, dice, kind) for _ in range(FRAMES))


def _frame(screen: Image.Image, dice: random.Random, kind: str) -> bytes:
    """The code on a screen: tilted, not in the middle, blurred, with noise."""
    tilted = screen.rotate(
        dice.uniform(-TILT_DEGREES, TILT_DEGREES),
        Image.Resampling.BICUBIC,
        expand=True,
        fillcolor=PAPER,
    )
    seen = Image.new("L", (WIDTH, HEIGHT), ROOM)
    left, top = (dice.randint(0, room) for room in (WIDTH - tilted.width, HEIGHT - tilted.height))
    seen.paste(tilted, (left, top))
    noise = Image.effect_noise((WIDTH, HEIGHT), NOISE)
    grey = Image.blend(seen.filter(ImageFilter.GaussianBlur(BLUR_PIXELS)), noise, NOISE_SHARE)
    body = io.BytesIO()
    grey.save(body, kind, **({"quality": JPEG_QUALITY} if kind == "JPEG" else {}))
    return body.getvalue()
