"""The ride code at the gate: what passes, in both suites, and each refusal by its own code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from code_world import CARD_NUMBER, HOUR, NOW, Identities, Rides

from card_protocol import ride_code
from card_protocol.errors import CodeRefused, MalformedBytes
from card_protocol.identity_code import Claim
from card_protocol.ride_certificate import RideSuite
from card_protocol.ride_code import RideCode
from card_protocol.ride_verifier import MemoryUsedCodes

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SUITES = pytest.mark.parametrize("suite", list(RideSuite), ids=lambda suite: suite.name)


def refusal(check, *arguments) -> str | None:
    try:
        check(*arguments)
    except (CodeRefused, MalformedBytes) as refused:
        return refused.code
    return None


@SUITES
def test_a_genuine_code_passes_once(suite):
    rides = Rides(suite)
    gate, code = rides.gate(), rides.code()
    accepted = gate.verify(code, NOW)
    assert (accepted.part, accepted.generated_at) == (rides.part, NOW)
    assert RideCode.decode(code).part == rides.part
    assert 330 <= len(code) <= 350
    assert refusal(gate.verify, code, NOW) == "ride_code_used"
    assert refusal(gate.verify, rides.code(NOW + 1), NOW) is None


@SUITES
def test_no_byte_can_be_altered(suite):
    """Goal: one bit at any place is refused, and none of the refusals is a crash."""
    rides = Rides(suite)
    gate, code = rides.gate(), rides.code()
    step = 1 if suite is RideSuite.ES256 else 7
    for at in range(0, len(code), step):
        changed = bytes(one ^ (4 * (place == at)) for place, one in enumerate(code))
        assert refusal(gate.verify, changed, NOW), at
    assert refusal(gate.verify, code, NOW) is None
    assert gate.remembered == (1, 1)  # nothing that was refused for its part is remembered


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (0, None),
        (30, None),
        (31, "ride_code_expired"),
        (120, "ride_code_expired"),
        (-30, None),
        (-31, "ride_code_not_yet_valid"),
        (8 * HOUR, "ride_code_clock_wrong"),
        (8 * HOUR + 30, "ride_code_clock_wrong"),
        (8 * HOUR + 31, "ride_code_expired"),
        (-8 * HOUR, "ride_code_clock_wrong"),
        (-8 * HOUR - 31, "ride_code_not_yet_valid"),
    ],
)
def test_a_code_is_good_for_thirty_seconds(seconds, code):
    rides = Rides()
    assert refusal(rides.gate().verify, rides.code(), NOW + seconds) == code


def test_a_replay_across_gates_that_share_their_used_codes():
    rides, used = Rides(), MemoryUsedCodes()
    first, second, elsewhere = rides.gate(used), rides.gate(used), rides.gate()
    code = rides.code()
    assert refusal(first.verify, code, NOW) is None
    assert refusal(second.verify, code, NOW + 5) == "ride_code_used"
    assert refusal(elsewhere.verify, code, NOW) is None  # a station apart: its taps meet online


def test_another_spelling_of_the_signature_is_the_same_use():
    """Goal: r‖n-s verifies too; whoever saw a code cannot make a second one of it."""
    rides = Rides()
    gate, code = rides.gate(), rides.code()
    s = int.from_bytes(code[-32:])
    twin = code[:-32] + (P256_ORDER - s).to_bytes(32)
    assert refusal(gate.verify, code, NOW) is None
    assert refusal(gate.verify, twin, NOW) == "ride_code_used"


def test_certificates_and_issuers():
    rides, stranger = Rides(), Rides()
    gate = rides.gate()
    part_with, certificate_with = rides.part_with, rides.certificate_with
    for certificate, code in (
        (certificate_with(expiry_month=10), "ride_code_certificate_expired"),
        (certificate_with(ca_index=2), "ride_code_foreign"),
        (certificate_with(issuer_id=bytes(4)), "ride_code_foreign"),
        (stranger.certificate_with(public_key=rides.issuer.point), "ride_code_altered"),
        (replace(certificate_with(), serial=b"abc"), "ride_code_altered"),
    ):
        assert refusal(gate.verify, rides.code(part=part_with(certificate)), NOW) == code
    other_issuer = part_with(issuer_id=bytes.fromhex("64010009"))
    assert refusal(gate.verify, rides.code(part=other_issuer), NOW) == "ride_code_foreign"
    assert gate.remembered == (0, 0)


def test_a_certificate_ends_while_it_is_remembered():
    rides = Rides()
    gate = rides.gate()
    part = rides.part_with(authorised_until=NOW + 60 * 24 * HOUR)
    assert refusal(gate.verify, rides.code(part=part), NOW) is None
    new_year = part.certificate.ends_at
    assert refusal(gate.verify, rides.code(new_year - 1, part), new_year - 1) is None
    late = rides.code(new_year, part)
    assert refusal(gate.verify, late, new_year) == "ride_code_certificate_expired"
    fresh = rides.part_with(ride_max_fen=1)  # another part under the remembered certificate
    late = rides.code(new_year, fresh)
    assert refusal(gate.verify, late, new_year) == "ride_code_certificate_expired"


def test_what_the_issuer_says_is_held():
    rides = Rides()
    gate = rides.gate()
    for changes, code in (
        ({"authorised_until": NOW - 1}, "ride_code_authorisation_expired"),
        ({"authorised_until": NOW}, None),
        ({"account_type": 4}, "ride_code_account_type_refused"),
    ):
        part = rides.part_with(**changes)
        assert refusal(gate.verify, rides.code(part=part), NOW) == code
    forged = replace(rides.part, ride_max_fen=1)  # keeps the old signature
    assert refusal(gate.verify, rides.code(part=forged), NOW) == "ride_code_altered"
    long = rides.part_with(validity_seconds=3_600)  # a gate has a limit of its own
    assert refusal(gate.verify, rides.code(part=long), NOW + 31) == "ride_code_expired"
    short = rides.part_with(validity_seconds=5)
    assert refusal(gate.verify, rides.code(part=short), NOW + 6) == "ride_code_expired"


def test_a_stolen_part_needs_the_phones_key():
    rides, thief = Rides(), Rides()
    code = ride_code.show(rides.part.encode(), NOW, thief.user.sign)
    assert refusal(rides.gate().verify, code, NOW) == "ride_code_altered"


def test_a_denied_card_is_refused_also_when_it_rode_before():
    rides = Rides()
    gate = rides.gate()
    assert refusal(gate.verify, rides.code(), NOW) is None
    rides.denied.add(CARD_NUMBER)
    assert refusal(gate.verify, rides.code(NOW + 1), NOW) == "ride_code_denied"


def test_what_is_no_ride_code():
    rides = Rides()
    gate, code = rides.gate(), rides.code()
    for other in (b"", b"9612345678461192460", code[:-1], code + b"\x00", bytes(400), code * 3):
        assert refusal(gate.verify, other, NOW) in {
            "ride_code_malformed",
            "ride_code_version_unknown",
        }
    for other in (None, "text", bytearray(code), memoryview(code)):
        assert refusal(gate.verify, other, NOW) == "ride_code_malformed"
    assert refusal(gate.verify, b"\x82" + code[1:], NOW) == "ride_code_version_unknown"


def test_a_key_that_is_no_point_is_malformed():
    rides = Rides()
    off_curve = rides.part_with(user_public_key=b"\x02" + b"\xff" * 32)
    gate = rides.gate()
    assert refusal(gate.verify, rides.code(part=off_curve), NOW) == "ride_code_malformed"
    off_curve = rides.certificate_with(public_key=b"\x02" + b"\xff" * 32)
    part = rides.part_with(off_curve)
    assert refusal(gate.verify, rides.code(part=part), NOW) == "ride_code_malformed"


def test_a_suite_the_gate_cannot_compute_is_foreign():
    sm2, es256 = Rides(RideSuite.SM2), Rides()
    assert refusal(es256.gate().verify, sm2.code(), NOW) == "ride_code_foreign"


def test_caches_have_bounds():
    rides = Rides()
    gate = rides.gate(parts_max=3, certificates_max=2)
    for number in range(6):
        certificate = rides.certificate_with(serial=bytes((0, 0, number)))
        part = rides.part_with(certificate)
        assert refusal(gate.verify, rides.code(NOW - number, part), NOW) is None
    assert gate.remembered == (3, 2)


def test_a_gate_forgets_what_is_too_old_and_never_what_counts():
    used = MemoryUsedCodes(used_max=2)
    assert used.claim(("a", 1), 10, 1)
    assert used.claim(("b", 1), 20, 1)
    assert refusal(used.claim, ("c", 1), 20, 1) == "ride_code_gate_full"
    assert used.claim(("c", 1), 20, 10)  # "a" is refused for its age from here on
    assert not used.claim(("b", 1), 20, 11)


def test_scanner_text_gives_the_bytes():
    code = Rides().code()
    assert ride_code.from_scanner(code.decode("latin-1")) == code
    assert refusal(ride_code.from_scanner, "城") == "ride_code_malformed"


def test_identity_codes_offline():
    city, stranger = Identities(), Identities()
    verify = city.verifier.verify
    assert verify(city.code(), NOW).claims == Claim.NAME
    old, other = city.part_with(authorised_until=NOW - 1), city.part_with(issuer_key_index=2)
    for code, at, expected in (
        (city.code(), NOW + 60, None),
        (city.code(), NOW + 61, "identity_code_expired"),
        (city.code(), NOW - 31, "identity_code_not_yet_valid"),
        (city.code(), NOW + 8 * HOUR, "identity_code_clock_wrong"),
        (city.code(part=old), NOW, "identity_code_authorisation_expired"),
        (city.code(part=other), NOW, "identity_code_foreign"),
        (stranger.code(), NOW, "identity_code_altered"),
        (city.code().replace("CIC1.", "CIC2."), NOW, "identity_code_foreign"),
        (city.code() + "A", NOW, "identity_code_malformed"),
        (city.code()[:-1] + "\n", NOW, "identity_code_malformed"),
    ):
        assert refusal(verify, code, at) == expected
    code = city.code()
    for at in range(0, len(code), 3):
        changed = code[:at] + ("x" if code[at] != "x" else "y") + code[at + 1 :]
        assert refusal(verify, changed, NOW), at
