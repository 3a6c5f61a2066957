"""The bench of codes: every case it times is a genuine code, and each pass begins anew."""

from __future__ import annotations

import pytest

from tools.benches import codes
from tools.benches.rounds import check


@pytest.mark.parametrize("make", [codes.ride_subjects, codes.pay_subjects])
def test_what_is_timed_is_right(make, monkeypatch):
    monkeypatch.setattr(codes, "RIDERS", 3)
    monkeypatch.setattr(codes, "CARDS", 60)
    for subject in make():
        one = subject.run(0.01)
        check(subject.name, one)
        assert one.acknowledged >= len(subject.cases)
        assert one.seconds >= 0.01


def test_a_wrong_code_ends_the_bench():
    subject = codes.Passes("wrong", [(b"k" * 32, b"1", b"no")], codes._hmac_raw)
    assert subject.run(0.001).found == 0
