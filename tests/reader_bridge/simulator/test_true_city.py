"""The simulator before a true city: its network fails, the wallet pays once all the same."""

from __future__ import annotations

import tomllib
from dataclasses import replace

from backend.config import ROOT
from reader_bridge.simulator.world import World
from tests.docs.city import running_city
from tests.reader_bridge.simulator.conftest import Desk

TOP_UP_FEN = 20_000


def test_a_pay_code_is_charged_once_however_the_network_is(settings, tmp_path):
    merchants = tomllib.loads((ROOT / "data/demo/merchants.toml").read_text("utf-8"))["merchants"]
    terminal_id = merchants[0]["shops"][0]["terminals"][0]["terminal_id"]
    with running_city(tmp_path / "var") as city, city.make_phone(TOP_UP_FEN) as phone:
        code = city.parts.shops.issue_activation_code(terminal_id).activation_code
        with World(replace(settings, url=city.public, code=code)) as world:
            desk = Desk(world)
            for trouble in ("lose-request", "lose-answer", "twice"):  # a request is tried 3 times
                assert desk.type(f"network {trouble}") == ""
            assert desk.type("sale S1 1.00") == "open (show_card)"
            assert desk.type(f"scan {phone.pay_code().digits}") == ""
            assert desk.type("expect S1 state=paid outcome=captured") == "as expected"
            assert phone.balance().balance_fen == TOP_UP_FEN - 100
            assert desk.type("sale S1 1.00") == "paid (paid)"
            assert phone.balance().balance_fen == TOP_UP_FEN - 100
