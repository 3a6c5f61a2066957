"""Any card read for a person: each family's page, what is hidden, and what no card can break."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hce.inspect import Language, lines_of, survey_card
from hce.inspect.commands import COMMANDS_MAX, HARMLESS, Asker, TooTalkative
from hce.inspect.shapes import (
    compound_record,
    day_of,
    holder,
    journey_record,
    log_record,
    management_data,
    moment_of,
    number_of,
    public_data,
)
from hce.inspect.text import masked
from hce.inspect.words import WORDS
from tests.hce.examples import TOKEN_NUMBER, bench
from tests.hce.inspect.plastic import (
    ATR,
    HOLDER,
    MANAGEMENT,
    T_UNION_PUBLIC,
    PlasticCard,
    bank,
    city_union,
    journey,
    log,
    nothing,
    suzhou,
    t_union,
)

ZH, EN = Language.ZH, Language.EN


def page(card: PlasticCard, language: Language = EN, *, show_personal: bool = False) -> str:
    report = survey_card(card, card.atr)
    return "\n".join(lines_of(report, "Reader 0", language, show_personal=show_personal))


T_UNION_PAGE = """\
reader: Reader 0
ATR: 3B 8A 80 01 80 58 43 49 54 59 43 41 52 44 C0
directory: 2PAY.SYS.DDF01: 1 applications listed (MOT_T_EP)
directory: 1PAY.SYS.DDF01: none

application: T-Union e-purse [MOT_T_EP] A000000632010105
  state: usable
  card number: 310517*********1381
  issuer: T-Union Beijing (01011000FFFFFFFF)
  valid: 2019-07-18 to 2040-12-31
  kind of card: senior
  holder: (hidden; --show-personal shows it)
  identity number: (hidden; --show-personal shows it)
  balance: 12.34 yuan
  transactions: 2
    2025-11-20 08:01:02  spent (compound)  -2.00 yuan  number 12
    2025-11-19 12:00:00  top-up  +50.00 yuan  number 3
  journeys: 2
    2025-11-20 08:30:00  metro  exit  -3.00 yuan  left 12.34 yuan
    2025-11-20 08:01:02  bus  single  -2.00 yuan  left 15.34 yuan
  compound records: 1
    record 2712: 128 bytes  inside 2025-11-20 08:01:02"""

CITY_UNION_PAGE = """\
读卡器: Reader 0
ATR: 3B 8A 80 01 80 58 43 49 54 59 43 41 52 44 C0
目录: 2PAY.SYS.DDF01: 没有
目录: 1PAY.SYS.DDF01: 没有

应用: 城市一卡通钱包 A00000000386980701
  状态: 可用
  卡号: 310001******8901
  发卡机构: 城市一卡通 杭州 (8475310000000000)
  有效期: 2015-01-01 至 2030-12-31
  余额: 12.80 元
  含透支可用: 20.80 元
  交易记录: 1
    2025-11-01 07:30:00  消费  -1.50 元  序号 7
  文件 16: 读不到 (6A82 未找到文件或应用)
  文件 17: 读不到 (6A82 未找到文件或应用)
  文件 1E: 读不到 (6A83 未找到记录)"""


def test_a_t_union_card() -> None:
    assert page(t_union()) == T_UNION_PAGE


def test_a_city_union_card_with_overdraft_wrong_le_and_get_response() -> None:
    assert page(city_union(), ZH) == CITY_UNION_PAGE


def test_a_suzhou_card_has_its_balance_in_the_passbook_and_bit_31_is_left_out() -> None:
    told = page(suzhou())
    assert "application: Suzhou citizen card" in told
    assert "issuer: T-Union Suzhou" in told  # from the FCI: file 15 does not open
    assert "balance: 0.42 yuan" in told
    assert "transactions: none" in told


def test_the_mobile_card() -> None:
    told = page(bench().card)  # type: ignore[arg-type]
    assert "application: citizen card on a phone [CITY CARD] F0434954594341524401" in told
    assert f"token: {masked(TOKEN_NUMBER)}" in told
    assert "product: phone_card" in told
    assert "valid: 2023-11-14 22:13 UTC to 2027-01-15 08:00 UTC" in told


def test_a_bank_card_is_named_and_left_alone() -> None:
    card = bank()
    told = page(card)
    assert "application: UnionPay card [UnionPay Debit] A000000333010101" in told
    assert "named only, not read" in told
    assert "not a card known here" in told
    assert {command[1] for command in card.asked} == {0xA4}


def test_an_unknown_card_is_told_by_what_it_answers() -> None:
    told = page(nothing(), ZH)
    assert "不认识的卡，以下是它的应答:" in told
    assert "主文件 3F00: 6A82 未找到文件或应用" in told
    assert "A000000632010105 交通联合电子钱包: 6A82 未找到文件或应用" in told


def test_a_blocked_card_says_so_and_is_read_all_the_same() -> None:
    told = page(t_union("6283"), ZH)
    assert "状态: 已锁定 (6283)" in told
    assert "余额: 12.34 元" in told


PERSONAL = ("3105170070104791381", "王小明", "110101199003070011", "310000000042", "0017", "0A17")


@pytest.mark.parametrize("language", Language)
def test_personal_data_is_hidden_unless_asked_for(language: Language) -> None:
    hidden, shown = page(t_union(), language), page(t_union(), language, show_personal=True)
    for secret in PERSONAL:
        assert secret not in hidden
        assert secret in shown
    token = page(bench().card, language)  # type: ignore[arg-type]
    assert TOKEN_NUMBER not in token
    assert TOKEN_NUMBER in page(bench().card, language, show_personal=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [t_union, city_union, suzhou, bank, nothing])
def test_nothing_is_sent_that_could_change_a_card(make: Callable[[], PlasticCard]) -> None:
    card = make()
    page(card)
    assert {(command[0], command[1]) for command in card.asked} <= HARMLESS
    assert len(card.asked) < COMMANDS_MAX / 2


def test_an_inspection_counts_no_atc() -> None:
    one = bench(atc=7)
    page(one.card)  # type: ignore[arg-type]
    assert one.tap().atc == 8


def test_a_harmful_command_cannot_leave() -> None:
    from card_protocol.apdu import CommandApdu  # noqa: PLC0415 - the one test that needs it

    card = nothing()
    for cla, ins in ((0x00, 0x20), (0x80, 0x50), (0x80, 0x54), (0x04, 0xD6), (0x84, 0x1E)):
        with pytest.raises(ValueError, match="nothing that could change"):
            Asker(card)._once(CommandApdu(cla, ins, 0, 0))
    assert card.asked == []


class Chatterbox:
    """Says the same to everything."""

    def __init__(self, answer: bytes) -> None:
        self.atr, self.answer, self.asked = ATR, answer, 0

    def transmit(self, command: bytes) -> bytes:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(
    "answer", ["", "90", "FFFF", "0000", "6F00", "9000", "6C00", "6283", "AB9000"]
)
def test_the_same_answer_to_everything(answer: str) -> None:
    card = Chatterbox(bytes.fromhex(answer))
    told = lines_of(survey_card(card, b""), "R", EN, show_personal=True)
    assert len(told) > 5
    assert card.asked <= COMMANDS_MAX


@pytest.mark.parametrize("answer", ["6100", "00" * 30 + "61FF"])
def test_a_card_with_ever_more_to_say_is_left(answer: str) -> None:
    card = Chatterbox(bytes.fromhex(answer))
    with pytest.raises(TooTalkative):
        survey_card(card, b"")
    assert card.asked <= COMMANDS_MAX


class Spoilt:
    """A good card whose answers are mutated by seed: cut, flipped, longer, foreign."""

    def __init__(self, card: PlasticCard, seed: int) -> None:
        self.atr, self._card, self._chance = card.atr, card, random.Random(seed)

    def transmit(self, command: bytes) -> bytes:
        answer, chance = bytearray(self._card.transmit(command)), self._chance
        match chance.randrange(8):
            case 0:
                answer[chance.randrange(len(answer))] ^= 1 << chance.randrange(8)
            case 1:
                del answer[chance.randrange(len(answer)) :]
            case 2:
                answer[:0] = chance.randbytes(chance.randint(1, 40))
            case 3 if len(answer) > 2:
                answer[:-2] = chance.randbytes(len(answer) - 2)
        return bytes(answer)


@pytest.mark.parametrize("make", [t_union, city_union, suzhou, bank])
def test_spoilt_answers_never_end_the_program(make: Callable[[], PlasticCard]) -> None:
    for seed in range(60):
        try:
            report = survey_card(Spoilt(make(), seed), ATR)
        except TooTalkative:
            continue
        for language in Language:
            for show_personal in (False, True):
                lines = lines_of(report, "R", language, show_personal=show_personal)
                assert all(line.isprintable() for line in lines)


@given(st.binary(max_size=140))
def test_any_file_is_decoded_or_not(body: bytes) -> None:
    for decode in (public_data, holder, management_data, log_record, journey_record):
        decode(body)


def test_records_that_cannot_be_dates_are_still_shown() -> None:
    bad = log_record(bytes.fromhex(log(1, 2, 6, "20251399240000")))
    assert bad is not None
    assert moment_of(bad.moment) is None
    assert log_record(bytes(23)) is log_record(b"\xff" * 23) is log_record(b"\x01" * 22) is None
    assert journey_record(bytes.fromhex(journey(3, 1, 0, 5, "20251120080102"))) is not None


def test_a_compound_record_that_was_never_written_is_none() -> None:
    assert compound_record(bytes.fromhex("27127D0101") + bytes(123)) is None
    assert compound_record(bytes.fromhex("017500") + bytes(117)) is None
    bus = compound_record(bytes.fromhex("01750000AA07") + bytes(114))
    assert bus is not None
    assert (bus.identifier, bus.size, bus.rail) == ("01", 120, None)


def test_holder_and_number() -> None:
    for body in (HOLDER, HOLDER[:44] + HOLDER[44 : 44 + 36] + "00" * 3):  # 55 and 43 bytes
        one = holder(bytes.fromhex(body))
        assert one is not None
        assert (one.name, one.identity_number) == ("王小明", "110101199003070011")
    assert holder(bytes(23)) is None
    public = public_data(bytes.fromhex(T_UNION_PUBLIC))
    assert public is not None
    assert number_of(public) == "3105170070104791381"
    assert masked("3105170070104791381") == "310517*********1381"
    assert masked("123") == "*23"


def test_files_of_another_size_are_cut_or_filled() -> None:
    public = bytes.fromhex(T_UNION_PUBLIC)
    assert public_data(public + b"\xff" * 3) == public_data(public)
    assert public_data(public[:-1]) is None
    assert day_of(public[20:24]) is not None
    assert day_of(b"\xff" * 4) is None
    eleven = bytes.fromhex(MANAGEMENT)[:11]
    short = management_data(eleven)
    assert short is not None
    assert short == management_data(eleven + bytes(49))
    assert (short.card_type, short.city.hex()) == (3, "1000")
    assert management_data(eleven[:-1]) is management_data(bytes(60)) is None


def test_every_word_is_there_in_both_languages() -> None:
    for key, words in WORDS.items():
        assert set(words) == set(Language), key
        assert all(words.values()), key
