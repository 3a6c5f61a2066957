"""Texts in both languages, figures as people write them, colours that can be read."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.config import load_config
from backend.portal.colours import (
    CONTRAST_MIN,
    DARK,
    LIGHT,
    ColourInvalid,
    Surfaces,
    brand_stylesheet,
    contrast,
    ink_on,
    readable,
)
from backend.portal.story import StoryState
from backend.portal.words import LANGUAGES, TEXTS, Speaker
from backend.web.docs import STATIC, TEMPLATES

HAN = re.compile(r"[\u4e00-\u9fff]")
NAMED = re.compile(r'\bt\(\s*["\']([a-z_]+)["\']\s*[,)]')
NAMED_IN_CONDITION = re.compile(r'\bt\("([a-z_]+)" if [^)]*? else "([a-z_]+)"\)')
TEMPLATE_FILES = sorted((TEMPLATES / "portal").glob("*.html"))

# Names put together in a template from a state, an engine's name or a setting.
MADE_UP = {
    *(f"story_{state.value}" for state in StoryState),
    *(f"story_{state.value}_more" for state in StoryState if state is not StoryState.PASSED),
    *("reader_pcsc", "reader_loopback", "db_identity", "db_business", "db_ledger"),
    *("carrier_plastic", "carrier_phone"),
    *(f"limit_{one['rule']}" for one in load_config({}).city["limits"]),
    *("custody_equal", "custody_waiting", "custody_differs"),
}


def fields_of(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_text_is_there_in_both_languages(name: str) -> None:
    words = TEXTS[name]
    assert HAN.search(words.zh)
    assert words.en.strip()
    assert not HAN.search(words.en)
    assert fields_of(words.zh) == fields_of(words.en)


def test_templates_name_texts_that_are_there_and_no_text_lies_idle() -> None:
    named = set(MADE_UP)
    for file in TEMPLATE_FILES:
        content = file.read_text(encoding="utf-8")
        named |= set(NAMED.findall(content))
        for pair in NAMED_IN_CONDITION.findall(content):
            named |= set(pair)
    assert named == set(TEXTS)


@pytest.mark.parametrize("file", TEMPLATE_FILES, ids=lambda file: file.name)
def test_no_template_speaks_by_itself(file: Path) -> None:
    """Text in a template would be shown in both languages alike; the language's own name may."""
    content = re.sub(r"\{[{%].*?[}%]\}", "", file.read_text(encoding="utf-8"), flags=re.S)
    assert set(HAN.findall(content)) <= set("中文")


@pytest.mark.parametrize(
    ("amount_fen", "zh", "en"),
    [
        (0, "0.00 元", "0.00 yuan"),
        (5, "0.05 元", "0.05 yuan"),
        (-5, "-0.05 元", "-0.05 yuan"),
        (1250, "12.50 元", "12.50 yuan"),
        (500000, "5,000.00 元", "5,000.00 yuan"),
        (-123456789, "-1,234,567.89 元", "-1,234,567.89 yuan"),
    ],
)
def test_money_has_two_decimals(amount_fen: int, zh: str, en: str) -> None:
    assert [Speaker(speak).yuan(amount_fen) for speak in LANGUAGES] == [zh, en]


@pytest.mark.parametrize(
    ("milliseconds", "zh", "en"),
    [
        (0, "0.0 毫秒", "0.0 ms"),
        (4.26, "4.3 毫秒", "4.3 ms"),
        (84.2, "84 毫秒", "84 ms"),
        (2310, "2,310 毫秒", "2,310 ms"),
        (12_480, "12.5 秒", "12.5 s"),
    ],
)
def test_times_are_short(milliseconds: float, zh: str, en: str) -> None:
    assert [Speaker(speak).took(milliseconds) for speak in LANGUAGES] == [zh, en]


def test_moments_are_told_on_the_citys_clocks() -> None:
    assert Speaker("zh").moment(datetime(2026, 11, 23, 17, 5, tzinfo=UTC)) == "2026-11-24 01:05"


def test_a_code_without_a_text_stands_for_itself() -> None:
    assert Speaker("zh").text_or_code("carrier_", "phone") == "手机"
    assert Speaker("zh").text_or_code("carrier_", "wristband") == "wristband"


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("surfaces", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    "colour", ["#0B6E8F", "#B4431F", "#FFD500", "#000000", "#FFFFFF", "#808080"]
)
def test_any_citys_colour_can_be_read(colour: str, surfaces: Surfaces) -> None:
    made = readable(colour, surfaces.page, surfaces.card)
    assert contrast(made, surfaces.page) >= CONTRAST_MIN
    assert contrast(made, surfaces.card) >= CONTRAST_MIN
    assert contrast(ink_on(colour), colour) >= CONTRAST_MIN


@pytest.mark.parametrize("surfaces", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "quiet", "good", "bad"])
def test_our_own_inks_can_be_read(ink: str, surfaces: Surfaces) -> None:
    for ground in (surfaces.page, surfaces.card):
        assert contrast(getattr(surfaces, ink), ground) >= CONTRAST_MIN


def test_a_readable_colour_stays_as_the_city_chose_it() -> None:
    assert readable("#0B6E8F", LIGHT.card) == "#0B6E8F"


@pytest.mark.parametrize("colour", ["red", "#FFF", "#12345G", "#0B6E8F; }", ""])
def test_a_colour_is_six_digits(colour: str) -> None:
    with pytest.raises(ColourInvalid):
        brand_stylesheet(colour, "#B4431F")


def test_the_stylesheet_uses_only_colours_the_brand_gives() -> None:
    given = set(re.findall(r"--([a-z-]+):", brand_stylesheet("#0B6E8F", "#B4431F")))
    for name in ("portal.css", "docs.css"):
        sheet = (STATIC / name).read_text(encoding="utf-8")
        own = set(re.findall(r"^\s*--([a-z0-9-]+):", sheet, flags=re.M)) | {"width"}
        used = set(re.findall(r"var\(--([a-z0-9-]+)", sheet))
        assert used <= given | own
