"""Every command of the purse has vectors in both suites; one walk plays them all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from card_protocol.apdu import CommandApdu
from hce.applets.epurse.step import COMMANDS
from hce.purse_store import MemoryPurseStore
from tests.hce.epurse_bench import RANDOM, SUITES, Bench, fixed_random, purse

HERE = Path(__file__).parent
BOOK = json.loads((HERE / "epurse_vectors.json").read_text("utf-8"))
DIALOGUES = BOOK["dialogues"]
PUBLISHED = json.loads((HERE.parent / "card_protocol/vectors/epurse.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "dialogue", DIALOGUES, ids=lambda dialogue: f"{dialogue['suite']} {dialogue['name']}"
)
def test_dialogue(dialogue):
    suite = SUITES[dialogue["suite"]]
    store = MemoryPurseStore(purse(suite, **dialogue["start"]))
    card = Bench(store, suite, fixed_random)
    assert bytes.fromhex(BOOK["random"]) == RANDOM
    for command, answer in dialogue["exchange"]:
        assert card.send(command) == answer, command


@pytest.mark.parametrize("suite", SUITES)
def test_every_command_succeeds_somewhere(suite):
    done = set()
    for dialogue in DIALOGUES:
        for command, answer in dialogue["exchange"]:
            if dialogue["suite"] == suite and answer.endswith("9000"):
                apdu = CommandApdu.decode(bytes.fromhex(command))
                done.add((apdu.cla, apdu.ins))
    assert COMMANDS.keys() <= done


def test_the_published_macs_are_in_the_dialogues():
    """Goal: the walk stands on outside figures, not on what this code once answered."""
    spoken = {
        suite: "".join(
            command + answer
            for dialogue in DIALOGUES
            if dialogue["suite"] == suite
            for command, answer in dialogue["exchange"]
        )
        for suite in SUITES
    }
    triple, sm = PUBLISHED["des3"], PUBLISHED["sm4"]
    for mac in (
        *(triple["load_tti02"]["MAC1"], triple["load_tti02"]["MAC2"], triple["load_tac"]["TAC"]),
        *(triple["purchase"]["MAC1"], triple["purchase"]["MAC2"], triple["purchase_tac"]["TAC"]),
        *(triple["capp_purchase_mac1"]["MAC1"], triple["purchase_tac"]["TAC_with_tti_09"]),
    ):
        assert mac in spoken["3des"]
    for mac in (
        *(sm["load"]["MAC1"], sm["load"]["MAC2"], sm["purchase_tac"]["TAC"]),
        *(sm["purchase"]["MAC1"], sm["purchase"]["MAC2"]),
    ):
        assert mac in spoken["sm4"]
