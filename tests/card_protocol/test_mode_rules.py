"""The rules of a profile: defaults, bounds, documents."""

from __future__ import annotations

import json

import pytest

from card_protocol.errors import MalformedBytes
from card_protocol.mode_rules import (
    Concession,
    GateRules,
    LoadingRules,
    ModeRules,
    Remedy,
    Rounding,
    Transfer,
    mode_rules_of,
)

FULL = ModeRules(
    again_seconds=8,
    clock_slack_seconds=30,
    stay_seconds_max=86_400,
    transfer=Transfer(within_seconds=3_600, discount_fen=100),
    concessions={
        2: Concession(pays_percent=50, step_fen=10, rounds=Rounding.UP),
        3: Concession(pays_percent=0),
    },
    gate=GateRules(missing_entry=Remedy.MAXIMUM, ride_seconds_max=7_200, entry_needs_fen=200),
    loading=LoadingRules(amounts_fen=(5_000, 10_000), ceilings_fen={"main_card": 300_000}),
)


@pytest.mark.parametrize("rules", [ModeRules(), FULL])
def test_a_document_and_back(rules):
    document = json.loads(json.dumps(rules.to_document()))
    assert mode_rules_of(document) == rules


def test_an_empty_document_is_the_default():
    assert mode_rules_of({}) == ModeRules()
    assert not ModeRules().concessions
    assert ModeRules().transfer is None


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"unknown": 1},
        {"again_seconds": -1},
        {"again_seconds": 601},
        {"again_seconds": "5"},
        {"clock_slack_seconds": 3_601},
        {"stay_seconds_max": 366 * 86_400 + 1},
        {"transfer": {}},
        {"transfer": 5},
        {"transfer": {"within_seconds": 0, "discount_fen": 1}},
        {"transfer": {"within_seconds": 1, "discount_fen": 0}},
        {"concessions": {}},
        {"concessions": [{}]},
        {"concessions": [5]},
        {"concessions": [{"card_type": 1}]},
        {"concessions": [{"card_type": 256, "pays_percent": 1}]},
        {"concessions": [{"card_type": True, "pays_percent": 1}]},
        {"concessions": [{"card_type": 1, "pays_percent": 101}]},
        {"concessions": [{"card_type": 1, "pays_percent": 1, "rounds": "even"}]},
        {"concessions": [{"card_type": 1, "pays_percent": 1}] * 2},
        {"concessions": [{"card_type": n, "pays_percent": 1} for n in range(33)]},
        {"gate": {"missing_entry": "free"}},
        {"gate": {"missing_entry": "table"}},
        {"gate": {"missing_entry": ["refuse"]}},
        {"gate": {"ride_seconds_max": 59}},
        {"gate": {"entry_needs_fen": -1}},
        {"loading": {"amounts_fen": []}},
        {"loading": {"amounts_fen": [200, 100]}},
        {"loading": {"amounts_fen": [0]}},
        {"loading": {"amounts_fen": 100}},
        {"loading": {"ceilings_fen": []}},
        {"loading": {"ceilings_fen": {}}},
        {"loading": {"ceilings_fen": {"main_card": 500_001}}},
    ],
)
def test_documents_that_are_refused(document):
    with pytest.raises(MalformedBytes) as refused:
        mode_rules_of(document)
    assert refused.value.code == "mode_rules_malformed"


def test_rules_cannot_be_changed_from_outside():
    concessions = {1: Concession(pays_percent=50)}
    rules = ModeRules(concessions=concessions)
    concessions[1] = Concession(pays_percent=0)
    assert rules.concessions[1].pays_percent == 50
