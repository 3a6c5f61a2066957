"""The fuzz runner: a planted fault of each kind is found, the same seed is the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from card_protocol.errors import MalformedBytes
from card_protocol.mobile_card import GpoResponse
from hce.card import Card
from hce.transports.isodep import IsoDepCard
from tools.fuzz import __main__ as runner
from tools.fuzz import decoders, isodep, mobile_card, report
from tools.fuzz.decoders import DECODERS, Decoder, fuzz_decoder
from tools.fuzz.mutations import ACCIDENTS, Mutator
from tools.fuzz.report import FuzzFailed, FuzzReport
from tools.fuzz.targets import all_targets

SHORT = 2_000  # `make fuzz` has the long form


@pytest.mark.parametrize("name", all_targets())
def test_the_short_form_finds_nothing_and_reaches_everything(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    fuzz, _share = all_targets()[name]
    seen = fuzz(1, SHORT)
    assert seen.count == SHORT
    assert len(seen.mix) >= len(ACCIDENTS)  # every accident it has was used
    assert len(seen.outcomes) > 1 or DECODERS[name].never_refuses
    record_property("mix", dict(seen.mix))


def test_the_card_is_reached_in_depth() -> None:
    seen = mobile_card.fuzz_mobile_card(2, 4_000)
    assert seen.outcomes["cryptogram"] > 50
    assert {"9000", "6700", "6985", "6D00", "6E00", "617D"} <= set(seen.outcomes)
    frames = isodep.fuzz_isodep(2, 4_000)
    assert {"Reply", "Command", "Granted", "silence"} == set(frames.outcomes)


def test_one_seed_is_one_run() -> None:
    first, again, other = (mobile_card.fuzz_mobile_card(seed, 500) for seed in (7, 7, 8))
    assert (first.mix, first.outcomes) == (again.mix, again.outcomes)
    assert first.mix != other.mix


def test_mutations_are_named_and_change_something() -> None:
    mutator = Mutator(3, [bytes(range(40))])
    made = [mutator.pick() for _ in range(500)]
    assert set(mutator.mix) == set(ACCIDENTS)
    assert sum(body != bytes(range(40)) for body in made) > 480
    assert mutator.mutate(b"")
    with pytest.raises(ValueError, match="something good"):
        Mutator(3, [])


def plant(monkeypatch: pytest.MonkeyPatch, decoder: Decoder) -> None:
    monkeypatch.setitem(decoders.DECODERS, "planted", decoder)  # type: ignore[arg-type]


def crashes(body: bytes) -> bytes:
    if len(body) > 20:
        raise IndexError("beyond the end")
    return body


def forgets(body: bytes) -> bytes:
    if not body:
        raise MalformedBytes("planted", "empty")
    return body[:3]


def dawdles(body: bytes) -> bytes:
    ends = time.thread_time() + 0.08
    while time.thread_time() < ends:
        pass
    return body


FAULTS = {
    "an exception": (Decoder(crashes, (bytes(18),)), "planted: IndexError: beyond the end"),
    "another value": (
        Decoder(lambda body: body, (bytes(8),), lambda value: forgets(value) + b"x"),
        "encodes to something else",
    ),
    "a slow input": (Decoder(dawdles, (bytes(8),)), "took"),
}


@pytest.mark.parametrize(("decoder", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found_with_its_input(
    monkeypatch: pytest.MonkeyPatch, decoder: Decoder, reason: str
) -> None:
    plant(monkeypatch, decoder)
    with pytest.raises(FuzzFailed, match=reason) as found:
        fuzz_decoder("planted", 11, 1_000)
    assert "seed 11, input " in str(found.value)


def test_a_hang_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(body: bytes) -> bytes:
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            pass
        return body

    monkeypatch.setattr(report, "HANG_SECONDS", 0.2)
    plant(monkeypatch, Decoder(hangs, (bytes(8),)))
    began = time.monotonic()
    with pytest.raises(FuzzFailed, match=r"no answer in 0\.2 s|took"):
        fuzz_decoder("planted", 11, 10)
    assert time.monotonic() - began < 10


CARD_FAULTS = {
    "no status word": (lambda answer: b"\x12\x34", "no status word"),
    "a fault inside": (lambda answer: b"\x6f\x00", "a fault inside"),
}


@pytest.mark.parametrize(("spoil", "reason"), CARD_FAULTS.values(), ids=CARD_FAULTS)
def test_a_card_that_breaks_a_promise_is_found(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    good = Card.transmit
    monkeypatch.setattr(Card, "transmit", lambda self, command: spoil(good(self, command)))
    with pytest.raises(FuzzFailed, match=reason):
        mobile_card.fuzz_mobile_card(1, 500)


def test_a_counter_given_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer again, as a card would give that computed ahead."""
    good, kept = Card.transmit, []

    def repeat(self: Card, command: bytes) -> bytes:
        answer = good(self, command)
        if len(answer) > 100 and mobile_card.find_pdol_data(command) is not None:
            GpoResponse.decode(answer[:-2])
            kept.append(answer)
            return kept[0]
        return answer

    monkeypatch.setattr(Card, "transmit", repeat)
    with pytest.raises(FuzzFailed, match=r"counter (\d+) after \1"):
        mobile_card.fuzz_mobile_card(1, 2_000)


def test_a_machine_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IsoDepCard, "answer", lambda self, response: bytes(300))
    with pytest.raises(FuzzFailed, match="a frame no reader takes"):
        isodep.fuzz_isodep(1, 2_000)


def test_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["--count", "300", "--seed", "4", "--only", "apdu"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 4"
    assert told[1].startswith("apdu: 30 inputs, ")
    assert told[2].startswith("  mix: ")
    assert told[-1] == "fuzz_findings=0"

    def finds(seed: int, count: int) -> FuzzReport:
        raise FuzzFailed("it broke; seed 4, input 00")

    monkeypatch.setattr(runner, "all_targets", lambda: {"card": (finds, 1.0)})
    assert runner.main(["--count", "1", "--seed", "4", "--guided-seconds", "0"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[1:] == ["card: FOUND: it broke; seed 4, input 00", "fuzz_findings=1"]
    for wrong in (["--count", "0"], ["--seed", "-1"], ["--only", "nothing"]):
        with pytest.raises(SystemExit):
            runner.main(wrong)
    capsys.readouterr()


def test_guided_runs_for_its_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "KEPT", tmp_path)
    assert runner.main(["--seed", "4", "--only", "guided", "--guided-seconds", "1"]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
