"""Goal: what happens to a token reaches the deny list, and leaves it again when it is released."""

from __future__ import annotations

from datetime import UTC, datetime

from card_world import World

from backend.db import Units, Which
from backend.keys import SoftwareKeys
from backend.transit import DenyLists
from backend.virtual_card import TOKEN_CHANGED, EventKind, TokenStandings
from card_protocol.certificate import Certificate
from card_protocol.deny_list import DenyKind, DenyPart


def test_a_loss_report_denies_and_a_release_allows(
    world: World, units: Units, keys: SoftwareKeys
) -> None:
    lists = DenyLists(units, keys, {DenyKind.TOKEN: TokenStandings()})

    def denied() -> tuple[int, ...]:
        for event in world.told(TOKEN_CHANGED):  # all of them, again and again
            lists.hear_token(event)
        return DenyPart.decode(lists.part(0).part).tokens.added

    _, card, _ = world.issued()
    assert world.told(TOKEN_CHANGED) == []
    world.report_loss(card)
    assert denied() == (int(card.token_number),)
    world.release(card)
    assert denied() == ()
    world.happens(EventKind.DEATH)
    assert denied() == (int(card.token_number),)


def test_standings_are_paged_in_a_stable_order(world: World, units: Units) -> None:
    _, first, _ = world.issued()
    world.report_loss(first)
    standings = TokenStandings()
    with units.read(Which.BUSINESS) as work:
        (one,) = standings.page(work, "", 10)
        assert standings.find(work, first.token_id) == one
        assert standings.find(work, "tok_x") is None
        assert standings.page(work, first.token_id, 10) == []
    until = Certificate.decode(first.certificate).not_after
    assert (one.source_id, one.number, one.is_denied, one.ends_at) == (
        first.token_id,
        first.token_number,
        True,
        datetime.fromtimestamp(until, UTC),
    )
