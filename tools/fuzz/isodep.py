"""Mutated frames in any order to the ISO-DEP machine: it never raises, never runs a block twice."""

from __future__ import annotations

from typing import Final

from hce.transports.isodep import COMMAND_BYTES_MAX, Command, Granted, IsoDepCard, Reply, State
from hce.transports.isodep_frames import FRAME_SIZES
from tools.fuzz.mutations import Mutator
from tools.fuzz.report import FuzzReport, Watch, watched

FRAMES: Final = (
    "E080 E051 0200A4040000 0300B2010C00 1200A4 1304 A2 A3 B2 B3 C2 F20A D01100 02 03 0A0500A4"
)
GOOD: Final = tuple(bytes.fromhex(frame) for frame in FRAMES.split())
ACTIVATIONS, WAKES = 0.02, 0.3  # in any state; once it was let go
MULTIPLIER: Final = 10  # of S(WTX), as the good grant has it
GOOD_SHARE: Final = 0.5
ANSWERS: Final = (2, 40, 300)
EXTENDS: Final = 0.2
FRAME_BYTES_MAX: Final = FRAME_SIZES[-1] - 2


def fuzz_isodep(seed: int, count: int) -> FuzzReport:
    """`count` frames, good and mutated, to one activation after another. Raises FuzzFailed."""
    mutator, machine = Mutator(seed, GOOD), IsoDepCard()
    with watched(seed) as watch:
        for _ in range(count):
            is_halted = machine.state is State.HALTED
            if mutator.chance.random() < (WAKES if is_halted else ACTIVATIONS):
                machine = IsoDepCard()
                machine.receive(GOOD[0])
                mutator.mix["new activation"] += 1
            _hear(watch, machine, mutator, mutator.pick(GOOD_SHARE))
        return watch.report(count, mutator.mix)


def _hear(watch: Watch, machine: IsoDepCard, mutator: Mutator, frame: bytes) -> None:
    step = watch.call(frame, machine.receive)
    watch.outcomes[type(step).__name__ if step is not None else "silence"] += 1
    if isinstance(step, Command):
        watch.require(0 < len(step.apdu) <= COMMAND_BYTES_MAX + 1, "an impossible command")
    if isinstance(step, Reply):
        watch.require(0 < len(step.frame) <= FRAME_BYTES_MAX, "a frame no reader takes")
    if isinstance(step, (Command, Granted)):
        if mutator.chance.random() < EXTENDS:
            sent = machine.extend(MULTIPLIER)
        else:
            sent = machine.answer(bytes(mutator.chance.choice(ANSWERS)))
        watch.require(0 < len(sent) <= FRAME_BYTES_MAX, "a frame no reader takes")
