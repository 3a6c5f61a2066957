"""What can be typed, what it means, and what is refused."""

from __future__ import annotations

import pytest

from reader_bridge.simulator.steps import (
    LINE_CHARACTERS_MAX,
    VERBS,
    Balance,
    Cancel,
    Expect,
    Fault,
    Later,
    Network,
    Plug,
    Present,
    Restart,
    Sale,
    Scan,
    SetNetwork,
    ShiftClock,
    StepRefused,
    Unplug,
    Upload,
    Withdraw,
    step_of,
)

STEPS = {
    "present plastic": Present("plastic"),
    "present a on left with b with c": Present("a", "left", ("b", "c")),
    "present a tear 7": Present("a", fault=Fault.TEAR, at=7),
    "present a tear-after 200 slow 10": Present(
        "a", fault=Fault.TEAR_AFTER, at=200, slow_milliseconds=10
    ),
    "present a unplug 1": Present("a", fault=Fault.UNPLUG, at=1),
    "withdraw": Withdraw(None),
    "withdraw left": Withdraw("left"),
    "unplug": Unplug(None),
    "plug left": Plug("left"),
    "scan 'a b'": Scan("a b"),
    "sale S1 12.50": Sale("S1", 1_250),
    "balance B1": Balance("B1"),
    "cancel S1": Cancel("S1"),
    "network up": SetNetwork(Network.UP),
    "network slow 1500": SetNetwork(Network.SLOW, 1_500),
    "network lose-answer": SetNetwork(Network.LOSE_ANSWER),
    "clock +1d": ShiftClock(86_400),
    "clock -90s": ShiftClock(-90),
    "clock right": ShiftClock(None),
    "later 2h": Later(7_200),
    "restart": Restart(),
    "upload": Upload(),
    "expect stage=done waiting=0": Expect(None, {"stage": "done", "waiting": "0"}),
    "expect S1 state=paid": Expect("S1", {"state": "paid"}),
}
REFUSED = {
    "": "nothing to do",
    "sale 'S1": "quotation",
    "dance": "'dance' is none of",
    "present": "which card",
    "present a on": "'on' stands alone",
    "present a tear 0": "commands from 1 to 200",
    "present a tear 201": "commands from 1 to 200",
    "present a tear ²": "commands from 1",
    "present a tear 1 tear-after 2": "tear-after 2",
    "present a under b": "under b",
    "present a slow 10001": "milliseconds from 1",
    "sale S1": "sale REFERENCE YUAN",
    "sale S1 0": "no amount",
    "sale S1 -1": "no amount",
    "withdraw a b": "withdraw",
    "network": "network up",
    "network fast": "network up",
    "network up 5": "network up",
    "network slow": "network up",
    "clock": "clock",
    "clock 1w": "for example",
    "clock +401d": "at most 400 days",
    "later -1s": "one way",
    "restart now": "restart",
    "expect": "expect what",
    "expect S1": "expect what",
    "expect colour=red": "here NAME=VALUE",
    "expect S1 stage=done": "here NAME=VALUE",
    "expect stage=a stage=b": "once",
    "x" * (LINE_CHARACTERS_MAX + 1): "too long",
}


@pytest.mark.parametrize(("line", "step"), STEPS.items(), ids=STEPS)
def test_read(line, step):
    assert step_of(line) == step


@pytest.mark.parametrize(("line", "reason"), REFUSED.items(), ids=[key[:40] for key in REFUSED])
def test_refused(line, reason):
    with pytest.raises(StepRefused, match=reason):
        step_of(line)


def test_each_verb_is_tried_above():
    assert {line.split()[0] for line in STEPS} == set(VERBS)
