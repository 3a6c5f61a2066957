"""Each line of the self-test, when all is well and when it is not."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest

from reader_bridge.client_key import load_identity, save_identity
from reader_bridge.journal import Journal
from reader_bridge.profile.keeper import PROFILE_FILE
from reader_bridge.readers import pcsc
from reader_bridge.selftest import ADVICE, TITLES, Verdict, devices
from reader_bridge.selftest import folder as folder_check
from reader_bridge.selftest.journal import WAIT_SECONDS_MAX
from reader_bridge.selftest.lines import Line, fail, ok
from reader_bridge.selftest.run import NEEDS_ACTIVATION, bounded
from tests.reader_bridge.acceptance.world import PurseCard
from tests.reader_bridge.support import Problem

READY = {
    *("folder", "disk", "activation", "backend", "clock", "login"),
    *("profile", "deny_list", "journal", "waiting", "port"),
}


def journal_of(folder) -> sqlite3.Connection:
    return sqlite3.connect(folder / "journal.sqlite", isolation_level=None)


def sell_offline(stall, count_: int = 1) -> None:
    stall.go_away()
    card = PurseCard()
    for _ in range(count_):
        stall.tap(card.shown(), 300)
    stall.terminal.close()


def test_a_terminal_that_is_ready(ready, look, backend):
    lines = look()
    assert set(lines) == READY
    assert {line.verdict for line in lines.values()} == {Verdict.OK}, lines
    assert backend.logins.total() >= 1
    assert "version 4" in lines["profile"].said.en
    assert lines["waiting"].said.en == "0 of 0.00 yuan; torn 0, aside 0"


def test_nothing_is_shown_that_is_secret(ready, look):
    key = (ready / "terminal.key").read_text()
    shown = json.dumps([line.to_document() for line in look().values()])
    assert not any(part in shown for part in key.split("\n") if part)
    assert "token-" not in shown


# --- folder and disk ---


def test_no_folder_leaves_the_rest_unasked(look):
    lines = look()
    assert lines["folder"].code == "folder_missing"
    skipped = {name for name, line in lines.items() if line.verdict is Verdict.SKIP}
    assert skipped == {"disk", "activation", *NEEDS_ACTIVATION}


@pytest.mark.parametrize(
    ("name", "mode", "code"),
    [
        (".", 0o750, "folder_exposed"),
        ("terminal.key", 0o640, "file_exposed"),
        ("journal.sqlite", 0o604, "file_exposed"),
    ],
)
def test_others_could_look_into_it(ready, look, name, mode, code):
    (ready / name).chmod(mode)
    line = look()["folder"]
    assert line.code == code
    assert f"{mode:o}" in line.said.en


def test_a_folder_of_somebody_else(ready, look, monkeypatch):
    monkeypatch.setattr(folder_check.os, "access", lambda *_: False)
    assert look()["folder"].code == "folder_not_writable"


def test_a_disk_without_room_or_slow_or_read_only(ready, monkeypatch):
    ticks = count(step=0.5)
    assert folder_check.check_disk(ready, lambda: next(ticks)).code == "disk_slow"
    left = os.listdir(ready)
    monkeypatch.setattr(folder_check, "FREE_BYTES_MIN", 1 << 62)
    assert folder_check.check_disk(ready, lambda: 0.0).code == "disk_low"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_check.os, "fsync", full)
    line = folder_check.check_disk(ready, lambda: 0.0)
    assert (line.code, line.said.en) == ("folder_not_writable", "No space left on device")
    assert os.listdir(ready) == left


# --- the backend ---


def test_not_activated(folder, look):
    folder.mkdir(mode=0o700)
    lines = look()
    assert lines["activation"].code == "not_activated"
    assert {lines[name].verdict for name in NEEDS_ACTIVATION} == {Verdict.SKIP}


def test_a_key_that_others_can_read(ready, look):
    (ready / "terminal.key").chmod(0o644)
    assert look()["activation"].code == "key_exposed"


def test_nobody_answers(ready, look):
    save_identity(ready, replace(load_identity(ready), url="http://127.0.0.1:9"))
    lines = look()
    assert lines["backend"].code == "backend_unreachable"
    assert lines["clock"].verdict is lines["login"].verdict is Verdict.SKIP


def test_an_address_without_encryption(ready, look):
    save_identity(ready, replace(load_identity(ready), url="http://example.org"))
    assert look()["backend"].code == "address_refused"


def test_a_backend_in_trouble(ready, look, backend):
    backend.script = ["broken"]
    assert look()["backend"].code == "backend_failing"


@pytest.mark.parametrize("seconds", [-45, 45])
def test_a_clock_that_differs(ready, look, test_time, seconds):
    test_time.unix_seconds += seconds
    line = look()["clock"]
    assert line.code == "clock_wrong"
    assert f"{seconds:+d} s" in line.said.en


def test_a_terminal_that_was_suspended(ready, look, backend, monkeypatch):
    def refuse(form: object) -> None:
        raise Problem(401, "client_suspended")

    monkeypatch.setattr(backend, "_login", refuse)
    line = look()["login"]
    assert (line.code, line.said.en) == ("login_refused", "client_suspended")


# --- what is known ---


def test_a_profile_that_ran_out(ready, look, test_time):
    test_time.unix_seconds += 3 * 24 * 3600
    lines = look()
    assert lines["profile"].code == "profile_expired"
    assert lines["deny_list"].code == "deny_list_too_old"


def test_a_profile_from_the_future(ready, look, test_time):
    test_time.unix_seconds -= 3600
    assert look()["profile"].code == "terminal_clock_wrong"


def test_no_profile_and_a_damaged_one(ready, look):
    (ready / PROFILE_FILE).write_text("{")
    assert look()["profile"].code == "state_damaged"
    (ready / PROFILE_FILE).unlink()
    assert look()["profile"].code == "profile_missing"


# --- the journal ---


def test_offline_sales_are_counted_and_their_chain_followed(stall, folder, look):
    sell_offline(stall, 3)
    lines = look()
    assert lines["journal"].said.en == "whole, 3 offline sales"
    assert lines["waiting"].said.en == "3 of 9.00 yuan; torn 0, aside 0"
    assert lines["waiting"].verdict is Verdict.OK
    with closing(journal_of(folder)) as database:
        database.execute("DROP TRIGGER entry_facts_stay")
        database.execute("UPDATE entry SET body = CAST('{}' AS BLOB) WHERE link = 2")
    line = look()["journal"]
    assert (line.code, line.said.en) == ("journal_damaged", "the chain breaks at offline sale 2")


def test_a_last_sale_cut_off(stall, folder, look):
    sell_offline(stall, 2)
    with closing(journal_of(folder)) as database:
        database.execute("DROP TRIGGER entry_is_kept")
        database.execute("DELETE FROM entry WHERE link = 2")
    assert "breaks at offline sale 2" in look()["journal"].said.en


def test_a_journal_that_is_none(ready, look):
    (ready / "journal.sqlite").write_bytes(b"not a database, not at all" * 200)
    lines = look()
    assert lines["journal"].code == "journal_damaged"
    assert lines["waiting"].code == "state_damaged"


def test_sales_put_aside_or_waiting_for_days(stall, folder, look, test_time):
    sell_offline(stall)
    test_time.unix_seconds += WAIT_SECONDS_MAX + 1
    assert look()["waiting"].code == "sales_wait_long"
    with closing(journal_of(folder)) as database:
        database.execute("UPDATE entry SET aside = 'malformed' WHERE link = 1")
    assert look()["waiting"].code == "sales_aside"


def test_no_room_for_one_more_sale(ready, look, monkeypatch):
    monkeypatch.setattr(Journal, "can_take_offline", lambda self: False)
    assert look()["waiting"].code == "journal_full"


# --- devices ---


def test_a_sam_that_is_not_there(ready, look, tmp_path):
    assert look(sam_folder=tmp_path)["sam"].code == "sam_missing"


def test_readers_by_name(ready, look, monkeypatch):
    monkeypatch.setattr(pcsc.PcscReader, "list_names", lambda self: ("ACR1252 00", "ACR SAM 0"))
    assert look(has_pcsc=True)["pcsc"].said.en == "ACR1252 00"
    assert look(has_pcsc=True, reader_name="Omnikey")["pcsc"].code == "reader_missing"
    monkeypatch.undo()
    monkeypatch.setattr(pcsc, "scard", None)
    line = look(has_pcsc=True)["pcsc"]
    assert line.code == "driver_missing"
    assert "city-card[bridge-pcsc]" in line.said.zh


def test_no_reader_of_nfcpy(ready, look):
    assert look(nfc=("usb:ffff:ffff",))["nfc"].code == "reader_missing"


def test_a_port_that_is_taken_and_one_that_is_ours(ready, look, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        monkeypatch.setattr(devices, "_ASK_SECONDS", 0.1)
        assert look(port=port)["port"].code == "port_taken"
        monkeypatch.setattr(devices, "_is_ours", lambda port: True)
        assert look(port=port)["port"].verdict is Verdict.OK


# --- around the checks ---


def test_a_check_that_hangs_or_breaks_is_a_line(caplog):
    end = threading.Event()

    def hang() -> list[Line]:
        end.wait()
        return []

    (late,) = bounded("pcsc", hang, seconds=0.02)
    end.set()
    assert late.code == "check_too_slow"
    (broken,) = bounded("nfc", lambda: [1 // 0])  # type: ignore[list-item]
    assert (broken.code, broken.said.en) == ("check_broke", "ZeroDivisionError")
    assert "the check nfc broke" in caplog.text


def test_words_in_both_languages():
    for text in (*TITLES.values(), *ADVICE.values()):
        assert text.zh
        assert text.en
        assert text.en.isascii()
    line = fail("disk", "disk_low", "剩余 {1}", "{1} left")
    assert line.read("en") == "FAIL disk: {1} left [disk_low] -> make room, or fit a larger disk"
    assert line.read("zh-CN").startswith("FAIL 磁盘: 剩余 {1} [disk_low] -> 腾出空间")
    assert ok("disk", "甲", "a").read("en") == "OK   disk: a"
    with pytest.raises(KeyError):
        ok("no such line", "", "")
