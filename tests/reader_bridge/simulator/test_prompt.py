"""The prompt does what a scenario's lines do, tells what is wrong, and goes on."""

from __future__ import annotations

import io
from argparse import Namespace
from dataclasses import replace

from reader_bridge.simulator.command import run
from reader_bridge.simulator.line import HttpUpstream, Request
from reader_bridge.simulator.prompt import HELP
from reader_bridge.simulator.steps import VERBS
from reader_bridge.simulator.world import World


def test_a_sale_by_hand(desk):
    assert desk.type("sale S1 2.00") == "open (show_card)"
    assert desk.type("present plastic on door") == ""
    assert desk.type("expect S1 state=paid spent=2.00") == "as expected"
    assert desk.type("expect lying=door") == "as expected"
    assert desk.type("withdraw") == ""
    assert desk.type("expect lying=- waiting=1") == "as expected"
    assert desk.type("upload") == "1 of 1 uploaded"
    status = desk.type("status")
    assert "readers  counter ok, door ok; cards lie on: none" in status
    assert "city     1 sales booked, 200 fen (DEMO)" in status


def test_a_sale_needs_no_reference(desk):
    assert desk.type("sale 2.00") == "open (show_card)"
    screen = desk.world.running.ask("GET", "/v1/screen")
    assert screen["amount_fen"] == 200
    assert desk.type(f"cancel {screen['reference']}") == "cancelled (cancelled)"
    assert desk.type("sale 2.00") == "open (show_card)", "under another reference"


def test_what_is_wrong_is_told_and_it_goes_on(desk):
    assert "'dance' is none of" in desk.type("dance")
    assert "no card 'gold'" in desk.type("present gold")
    assert "no reader 'attic'" in desk.type("unplug attic")
    assert "a terminal of its own: simulate torn" in desk.type("torn")
    assert desk.type("unplug door") == ""
    assert "reader 'door' is unplugged" in desk.type("present plastic on door")
    assert desk.type("cancel NONE") == "refused (sale_unknown)"
    assert "told of a card with a purse" in desk.type("expect NONE spent=1.00")
    assert desk.type("") == ""
    assert desk.type("sale S1 1.00") == "open (show_card)"


def test_cards_page_help_quit(desk):
    assert set(desk.type("cards").split()) >= {"plastic", "phone", "both", "foreign"}
    assert desk.type("page").startswith(f"{desk.world.running.server.url}/open?link=")
    told = desk.type("help")
    assert told == HELP.rstrip()
    assert all(verb in told for verb in VERBS)
    assert desk.is_left_by("quit")


def test_the_register_finds_it_again_after_a_restart(desk):
    before, token = desk.world.running.server.url, desk.world.running.api.headers["Authorization"]
    assert desk.type("sale S1 1.00") == "open (show_card)"
    assert desk.type("restart") == ""
    assert desk.world.running.server.url == before
    assert desk.world.running.api.headers["Authorization"] == token
    assert desk.type("expect stage=idle reader=counter,door") == "as expected"


def test_cards_and_terminal_are_the_same_in_the_next_run(settings, open_desk):
    first = open_desk(settings)
    first.type("sale S1 2.00")
    first.type("present plastic")
    assert first.type("expect S1 state=paid balance=48.00") == "as expected"
    again = open_desk(settings)
    assert again.type("sale S1 2.00") == "paid (paid)", "the journal knows it"
    again.type("sale S2 3.00")
    again.type("present plastic")
    assert again.type("expect S2 state=paid balance=45.00") == "as expected"


def test_the_city_may_run_elsewhere(settings, open_desk, tmp_path):
    """Another simulator's network stands for it: activation, profile, sale go by HTTP."""
    with World(settings) as elsewhere:
        assert elsewhere.city is not None
        here = replace(settings, folder=tmp_path / "here", url=elsewhere.line.url)
        desk = open_desk(here)
        assert desk.world.city is None
        desk.type("sale S1 2.00")
        desk.type("present plastic")
        assert desk.type("expect S1 state=paid spent=2.00") == "as expected"
        assert desk.type("upload") == "1 of 1 uploaded"
        assert elsewhere.city.charged() == (1, 200)
        assert "only a DEMO city tells" in desk.type("expect city=1")
        desk.world.close()


def test_a_city_that_is_away_gives_no_answer():
    ask = HttpUpstream("http://127.0.0.1:9")
    assert ask(Request("GET", "/v1/terminal/profile", {}, b"")) is None
    ask.close()


def test_the_command_starts_it_and_ends_with_its_input(tmp_path):
    out = io.StringIO()
    chosen = Namespace(
        list=False,
        scenario=None,
        prompt=False,
        url=None,
        code="DEMO-DEMO",
        port=0,
        record=tmp_path / "taps",
        state=tmp_path,
        language="en",
    )
    lines = ["sale S1 1.00\n", "present plastic\n", "expect S1 state=paid\n", "quit\n", "sale 1\n"]
    assert run(chosen, out, lines) == 0
    told = out.getvalue()
    assert "/open?link=" in told
    assert f"token  in {tmp_path / 'simulator' / 'desk' / 'terminal' / 'local_token'}" in told
    assert "as expected" in told
    assert "sale 1" not in told
    assert (tmp_path / "taps").read_text().startswith("recording 1\ntap counter\n> 00A40400")
