"""`kill -9` in mid-story: what was acknowledged is there once after the restart, nothing twice."""

from __future__ import annotations

import random
from pathlib import Path

from tests.journeys.burst import kill_in_mid_burst, players
from tools.story import books as story_books
from tools.story.instance import Instance

SEED = 20261123
KILLS = 2
OPERATIONS = (5, 25)  # acknowledged before the kill: seeded points between these


def test_kill_in_mid_story(instance: Instance, tmp_path: Path) -> None:
    """Goal: no point of death loses or doubles a payment, refund or top-up.

    Four players at once: taps with refunds, taps, scanned codes, top-ups which the bank settles
    late, so also after the restart. Nothing is repaired by hand: the server starts on its var/.
    """
    dice = random.Random(SEED)
    with players(instance, tmp_path, SEED) as playing:
        for _ in range(KILLS):
            lines = sum(len(player.stage.wallet_lines) for player in playing)
            kill_in_mid_burst(instance, playing, after=dice.randint(*OPERATIONS))
            instance.start()
            for player in playing:
                player.take_up()
            for player in playing:
                player.require_books()
            assert sum(len(player.stage.wallet_lines) for player in playing) > lines
        story_books.prove(playing[0].stage)
