"""Purses by command: by profile and suite, under TEST or a bench's keys; a bad file is a line."""

from __future__ import annotations

import re
import shlex
from datetime import date
from pathlib import Path

import pytest

from card_protocol.epurse.files import ManagementData, PublicData
from card_protocol.epurse.suites import DES3, SM4_SUITE, diversify_levels
from hce import errors
from hce.__main__ import parser
from hce.applets.epurse.state import KeyKind
from hce.card_file import CardRecord
from hce.desk_words import FAULTS, WORDS, told
from hce.inspect import Language, lines_of, survey_card
from hce.inspect.shapes import number_of
from hce.inspect.text import masked
from hce.open_cards import open_card
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS, TEST_MASTERS, read_keys
from hce.purse_order import OrderRefused, PurseOrder, make_purse
from hce.purse_profile import PROFILES
from hce.store import FileCardStore
from tests.hce.desk import NUMBER, Run, document, state_in, write_keys
from tests.hce.examples import NOW, SIGNER, STATE, Clock

MOBILE_CARD = CardRecord(STATE, SIGNER.to_der())

# --- made ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("suite", [None, "3des", "sm4"])
def test_a_test_purse_of_every_profile_and_suite(
    run: Run, tmp_path: Path, profile: str, suite: str | None
) -> None:
    suited = () if suite is None else ("--suite", suite)
    code, out, err = run(
        *("new", "--purse", "--card", "a/purse", "--profile", profile, *suited),
        *("--balance", "12.3", "--number", NUMBER),
    )
    name = profile if suite is None else f"{profile}, {suite}"
    assert (code, err) == (0, "")
    assert out == (
        f"purse 310123*********3456 ({name}, 12.30 yuan) is in a/purse; "
        "TEST keys, known to everybody: no real money on it\n"
    )
    assert (tmp_path / "a" / "purse").stat().st_mode & 0o777 == 0o600
    state = state_in(tmp_path / "a" / "purse")
    public = PublicData.decode(state.public_body)
    assert (state.balance_fen, number_of(public)) == (1_230, NUMBER)
    assert (state.pin is not None) == PROFILES[profile].has_pin
    algorithms = {"3des": {0}, "sm4": {4}}.get(suite or "", {0, 4} if profile == "sim" else {0})
    assert {key.algorithm for key in state.keys} == algorithms
    for key in state.keys:
        expected = diversify_levels(key.suite, TEST_MASTERS[key.kind], (public.key_factor,))
        assert key.value == expected
    management = state.find_file(0x17)
    assert management is not None
    assert ManagementData.decode(management.body).card_type == 4  # type: ignore[union-attr]


def test_purses_get_numbers_of_their_own(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("new", "--purse", "--card", name)[0] == 0
    first, second = (PublicData.decode(state_in(tmp_path / name).public_body) for name in "ab")
    assert first.serial != second.serial
    assert number_of(first)[:3] == "310"


def test_a_purse_under_a_benchs_keys(run: Run, tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json")
    code, out, _ = run("new", "--purse", "--card", "p", "--keys", "keys.json", "--number", NUMBER)
    assert code == 0
    assert "TEST" not in out
    keys = read_keys(tmp_path / "keys.json")
    state = state_in(tmp_path / "p", keys)
    assert state.pin is not None
    assert state.pin.is_value(b"\x12\x34")
    factor = PublicData.decode(state.public_body).key_factor
    assert {key.value for key in state.keys} == {
        DES3.diversify(bytes([kind] * 16), factor) for kind in KeyKind
    }
    with pytest.raises(errors.CardFileDamaged, match="another key"):
        state_in(tmp_path / "p")
    assert "5A5A" not in repr(keys)
    assert run("plug", "--card", "p", "--port", "9")[2].startswith(
        "hce: p: sealed with another key"
    )


def test_two_levels_and_sm4_masters(tmp_path: Path) -> None:
    masters = {kind.name: "11223344556677888877665544332211" for kind in KeyKind}
    body = document(levels=2, masters={"sm4": masters}, is_test=True)
    keys = read_keys(write_keys(tmp_path / "k", body))
    order = PurseOrder(PROFILES["secondary"], date(2025, 11, 23), NUMBER, 5, SM4_SUITE)
    state = make_purse(order, keys)
    public = PublicData.decode(state.public_body)
    factors = (bytes.fromhex("01013310FFFFFFFF"), public.key_factor)
    master = bytes.fromhex(masters["TAC"])
    assert state.keys[0].value == diversify_levels(SM4_SUITE, master, factors)
    assert (public.start.hex(), public.expiry.hex()) == ("20251123", "20351231")


REFUSED_ORDERS = {
    "too much": (("--balance", "1000.01"), "the profile holds at most 100000 fen"),
    "too much for a child": (
        ("--profile", "secondary", "--balance", "500.01"),
        "the profile holds at most 50000 fen",
    ),
    "a number of another scheme": (("--number", "62" + "1" * 17), "begins 310"),
    "a short number": (("--number", "310"), "a number has 19 digits"),
    "a number in other digits": (("--number", "310" + "１" * 16), "a number has 19 digits"),
    "money under real keys": (("--keys", "keys.json", "--balance", "1"), "born empty: load it"),
    "no master": (("--keys", "keys.json", "--suite", "sm4"), "keys.json: no master PURCHASE"),
    "no PIN": (("--keys", "bare.json"), "has a PIN and the keys have none"),
}


@pytest.mark.parametrize(("arguments", "reason"), REFUSED_ORDERS.values(), ids=REFUSED_ORDERS)
def test_orders_that_are_refused(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    write_keys(tmp_path / "keys.json")
    bare = document()
    del bare["pin"]
    write_keys(tmp_path / "bare.json", bare)
    code, out, err = run("new", "--purse", "--card", "p", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "p").exists()


def test_a_new_purse_never_takes_the_place_of_anything(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"mine")
    assert run("new", "--purse", "--card", "p") == (2, "", "hce: p: a purse is there already\n")
    assert (tmp_path / "p").read_bytes() == b"mine"


def test_a_mobile_card_of_the_sm_suite(run: Run, tmp_path: Path) -> None:
    assert run("new", "--card", "m", "--suite", "sm")[0] == 0
    with open_card([tmp_path / "m"], None, Clock(NOW)) as opened:
        report = survey_card(opened.card, b"")
    page = "\n".join(lines_of(report, "R", Language.EN))
    assert "product: DEMONSTRATION" in page
    record = FileCardStore(tmp_path / "m").record()
    assert record.state.certificate.suite.name == "SM4_SM2"


# --- plugged -------------------------------------------------------------------------------------


def test_mobile_card_first_and_purse_last(run: Run, tmp_path: Path) -> None:
    run("new", "--purse", "--card", "p", "--balance", "7", "--number", NUMBER)
    run("new", "--card", "m")
    with open_card([tmp_path / "p", tmp_path / "m"], None, Clock(NOW)) as opened:
        names = [one.label for one in survey_card(opened.card, b"").directories[0].listed]
        assert names == ["CITY CARD", "MOT_T_EP"]
        assert [one.is_purse for one in opened.applications] == [False, True]
        assert opened.applications[1].number == masked(NUMBER)
        page = "\n".join(lines_of(survey_card(opened.card, b""), "R", Language.EN))
        assert "balance: 7.00 yuan" in page
        assert "kind of card: test" in page
        assert "issuer: T-Union 0000" in page
        with pytest.raises(errors.CardFileFailed, match="in use"):
            PurseFileStore(tmp_path / "p", TEST_KEYS.sealing_key)
    PurseFileStore(tmp_path / "p", TEST_KEYS.sealing_key).close()  # given back


def test_two_of_one_name_do_not_go_on_one_card(run: Run, tmp_path: Path) -> None:
    for name in ("p", "q"):
        run("new", "--purse", "--card", name)
    FileCardStore.create(tmp_path / "m", MOBILE_CARD)
    second = "a second application of one name on one card"
    pairs = {("p", "q"): f"q: {second}", ("m", "m"): f"m: {second}", ("p", "p"): "p: in use by"}
    for (first, other), reason in pairs.items():
        code, _, err = run("plug", "--card", first, "--card", other)
        assert code == 2
        assert err.startswith(f"hce: {reason}"), err


# --- as the pages say ----------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_keys_are_those_of_the_page() -> None:
    page = (DOCS / "protocol" / "e-purse.md").read_text("utf-8")
    table = page.partition("| TEST master |")[2].partition("\n\n")[0]
    said = dict(re.findall(r"^\| (\w+) \| ([0-9A-F]{32}) \|$", table, re.MULTILINE))
    assert said == {kind.name: master.hex().upper() for kind, master in TEST_MASTERS.items()}


def test_the_key_file_on_the_page_makes_a_purse(run: Run, tmp_path: Path) -> None:
    page = (DOCS / "protocol" / "e-purse.md").read_text("utf-8")
    write_keys(tmp_path / "k", page.partition("```json\n")[2].partition("```")[0])
    assert run("new", "--purse", "--card", "p", "--keys", "k")[0] == 0
    assert state_in(tmp_path / "p", read_keys(tmp_path / "k")).balance_fen == 0


def test_the_commands_on_the_page_are_commands(run: Run, tmp_path: Path) -> None:
    page = (DOCS / "terminal-fitter.md").read_text("utf-8")
    part = page.partition("### Cards for trying")[2].partition("\n## ")[0]
    lines = re.findall(r"^    \.venv/bin/python -m hce (.*?)(?: +#.*)?$", part, re.MULTILINE)
    assert len(lines) == 8
    for line in lines:
        arguments = shlex.split(line)
        assert parser().parse_args(arguments).command == arguments[0]
        if arguments[0] == "new":
            assert run(*arguments)[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("phone.json", "phone.json.lock", "main.purse", "child.purse")
    }


# --- words ---------------------------------------------------------------------------------------


def test_the_desk_speaks_both_languages(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("new", "--purse", "--card", "p", "--lang", "zh", "--number", NUMBER)
    assert out == (
        "电子钱包 310123*********3456（plastic-main，0.00 元）已写入 p；"
        "TEST 测试密钥，人人皆知：不得用于真实资金\n"
    )
    _, _, err = run("plug", "--card", "nowhere", "--lang", "zh")
    assert err == "hce: 没有这个文件: nowhere: no such file\n"
    for key, words in WORDS.items():
        assert set(words) == set(Language), key
        fields_of = [set(re.findall(r"\{(\w+)\}", text)) for text in words.values()]
        assert fields_of[0] == fields_of[1], key


def kinds_of(error: type[Exception]) -> set[type[Exception]]:
    return {error}.union(*map(kinds_of, error.__subclasses__()))


def test_every_fault_has_words() -> None:
    kinds = kinds_of(errors.CardFileProblem) - {errors.CardFileProblem}
    assert set(FAULTS) >= kinds | {errors.CardAbsent, errors.ReaderUnreachable, OrderRefused}
    one = errors.CardFileUnfit(Path("a"), "b")
    assert (told(one, Language.EN), told(one, Language.ZH)) == ("a: b", "文件不适用: a: b")
