"""The command line: what it prints and how it exits."""

from __future__ import annotations

import io

import pytest
import qrcode

from reader_bridge.amounts import AMOUNT_FEN_MAX, format_yuan, parse_yuan
from reader_bridge.cli import main
from reader_bridge.codes import decode_picture
from reader_bridge.faults import CardFault, CodeFault, Fault, ReaderFault, TerminalFault
from reader_bridge.readers import pcsc
from tests.reader_bridge.support import ACTIVATION_CODE, PAY_CODE, TERMINAL_NUMBER


@pytest.fixture
def run(folder):
    def command(*words: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = main([str(word) for word in (*words, "--state", folder)], out, err)
        return code, out.getvalue(), err.getvalue()

    return command


@pytest.fixture
def active(run, backend):
    code, out, err = run("activate", "--url", backend.url, "--code", ACTIVATION_CODE)
    assert (code, err) == (0, "")
    assert out == f"trm_01h2xcejqtf2nbrexx3vqjhp41 {TERMINAL_NUMBER} 老街面馆 一号店\n"
    return run


def test_a_day_at_the_counter(active, backend, tmp_path):
    picture = tmp_path / "code.png"
    qrcode.make(PAY_CODE).save(picture)
    sale = ("sell", "--amount", "12.50", "--picture", picture, "--register-reference", "R1")
    code, out, err = active(*sale, "--times", "--language", "en")
    assert (code, err) == (0, "")
    assert "Amount: 12.50 CNY" in out
    assert "backend " in out.splitlines()[-1]
    assert active("ask-again", "--register-reference", "R1")[0] == 0
    refund = ("refund", "--register-reference", "R1", "--amount", "2.5", "--refund-reference", "F1")
    code, out, _ = active(*refund)
    assert (code, "金额:2.50 元" in out) == (0, True)
    assert active("reverse", "--register-reference", "R1")[0] == 0
    assert backend.charges() == []


def test_a_refused_sale_exits_1_with_reason_and_balance(active):
    code, out, err = active("sell", "--amount", "999", "--pay-code", PAY_CODE,
                            "--register-reference", "R1")  # fmt: skip
    assert (code, err) == (1, "")
    assert "余额不足 [insufficient_funds]" in out
    assert "余额:200.00 元" in out


def test_an_unknown_outcome_exits_3_and_the_next_command_settles_it(active, backend):
    sale = ("sell", "--amount", "1", "--pay-code", PAY_CODE, "--register-reference", "R1")
    assert active("profile")[0] == 0
    backend.script = ["ok"] + ["lose_answer"] * 20  # the profile arrives, no answer to the sale
    assert active(*sale)[0] == 3
    backend.script = []
    code, out, _ = active("ask-again")
    assert (code, "支付成功" in out) == (0, True)
    assert active("ask-again") == (0, "", "")
    assert backend.charges() == [100]


def test_merchant_code_as_a_picture(active, backend, tmp_path):
    target = tmp_path / "code.png"
    code, out, _ = active("merchant-code", "--amount", "3", "--bill-number", "B7", "--out", target)
    assert code == 0
    assert decode_picture(target.read_bytes()) == [out.splitlines()[0]] == ["000201B7300"]
    assert active("paid", "--bill-number", "B7")[0] == 3
    backend.add_payment("pay_7", 300, "merchant_code", bill_number="B7")
    code, out, _ = active("paid", "--bill-number", "B7")
    assert (code, "收款码" in out) == (0, True)


def test_the_profile_lists_applications_by_priority(active):
    code, out, _ = active("profile")
    assert code == 0
    assert out.splitlines()[1:] == [
        "1 A000000632010105 MOT_T_EP",
        "2 F0434954594341524401 CITY CARD",
    ]


SALE = ("sell", "--amount", "1", "--register-reference", "R1", "--pay-code", PAY_CODE)


def test_what_is_missing_is_one_line_and_exit_2(run, backend, folder, tmp_path):
    code, out, err = run(*SALE)
    assert (code, out) == (2, "")
    assert err == f"not_activated: 终端尚未激活:{folder}\n"
    run("activate", "--url", backend.url, "--code", ACTIVATION_CODE)
    (folder / "journal.sqlite").write_bytes(b"not a database, not at all" * 99)
    code, _, err = run(*SALE)
    assert (code, err.count("\n"), err.split(":")[0]) == (2, 1, "state_damaged")


def test_no_backend_is_one_line_and_exit_2(run):
    code, _, err = run("activate", "--url", "http://127.0.0.1:9", "--code", "A", "--language", "en")
    assert (code, err) == (2, "backend_unreachable: no answer from the backend (no_connection)\n")


@pytest.mark.parametrize("command", ["readers", "sell"])
def test_no_reader_driver_is_one_line_and_exit_2(active, monkeypatch, command):
    monkeypatch.setattr(pcsc, "scard", None)
    words = ("sell", "--amount", "1", "--register-reference", "R1")
    code, _, err = active(*(words if command == "sell" else ("readers",)))
    assert (code, err) == (
        2,
        "driver_missing: 未安装读卡器驱动(pyscard): pip install 'city-card[bridge-pcsc]'\n",
    )


def test_a_wrong_code_exits_1(run, backend):
    code, _, err = run("activate", "--url", backend.url, "--code", "WRONG")
    assert (code, err) == (1, "activation_code_wrong: no: activation_code_wrong\n")


def test_a_picture_without_code_exits_1(active, tmp_path):
    for name in ("missing.png", "."):
        code, _, err = active("sell", "--amount", "1", "--register-reference", "R1",
                              "--picture", tmp_path / name)  # fmt: skip
        assert (code, err.split(":")[0]) == (1, "picture_unreadable")


@pytest.mark.parametrize(
    ("text", "fen"),
    [("12.50", 1250), ("12.5", 1250), ("12", 1200), (" 0.01 ", 1), ("21474836.47", AMOUNT_FEN_MAX)],
)
def test_yuan_to_fen_and_back(text, fen):
    assert parse_yuan(text) == fen
    assert parse_yuan(format_yuan(fen)) == fen


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.00", "-1", "+1", "1.", ".5", "1.234", "1,5", "1e3", "NaN", "12.5元", "１２",
     "21474836.48", "999999999", "1 2", "1\n2", "0x10"],
)  # fmt: skip
def test_text_that_is_no_amount(text):
    with pytest.raises(TerminalFault, match="amount_malformed"):
        parse_yuan(text)


def test_debts_carry_their_sign():
    assert [format_yuan(fen) for fen in (-1, -1250, 0)] == ["-0.01", "-12.50", "0.00"]


class Anything(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"


@pytest.mark.parametrize("kind", [ReaderFault, CardFault, CodeFault, TerminalFault])
def test_every_fault_has_words_in_both_languages(kind: type[Fault]):
    for code, text in kind.TEXTS.items():
        assert text.zh.format_map(Anything())
        assert text.en.format_map(Anything())
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text.zh), code
        assert text.en.isascii(), code
    with pytest.raises(KeyError):
        kind("no_such_code")


def test_reader_and_card_faults_never_share_a_code():
    kinds = (ReaderFault, CardFault, CodeFault, TerminalFault)
    codes = [code for kind in kinds for code in kind.TEXTS]
    assert len(codes) == len(set(codes))
