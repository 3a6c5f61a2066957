"""The pages through the whole application: languages, states, and the content security policy."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.portal import Portal
from backend.portal.service import Glance
from backend.portal.words import TEXTS
from backend.wallet import LedgerProof, Proof
from tests.backend.portal.conftest import STORY
from tests.backend.portal.reading import Reading, read
from tools.story import player as story_player

HAN = re.compile(r"[\u4e00-\u9fff]")
PAGES = ("/", "/docs", "/docs/errors")
HELD = LedgerProof(
    debits_fen=1_250_050,
    credits_fen=1_250_050,
    custody_fen=18_750,
    channel_receivable_fen=0,
    owed_fen=18_750,
    bank_reported_fen=18_750,
)


@pytest.fixture
def show_proof(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the ledger say what the test wants; how it counts is tested in tests/backend/wallet."""

    def show(proof: LedgerProof | None) -> None:
        true = portal.glance(portal.story())
        seen = Glance(true.databases, true.parked_count, proof)
        monkeypatch.setattr(Portal, "glance", lambda self, story: seen)

    return show


# --- what must hold for every page --------------------------------------------------------------


@pytest.mark.parametrize("network", ["public", "internal"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_keep_the_content_security_policy(
    path: str, network: str, request: pytest.FixtureRequest, write_story: Any
) -> None:
    write_story(finished_at=None)
    client = request.getfixturevalue(network)
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "style-src 'self'" in policy
    assert "script-src 'self'" in policy
    page = Reading(answer.text)
    assert page.open == []
    assert page.inline == []
    assert not [one for one in page.attributes if one[1] == "style" or one[1].startswith("on")]
    for tag, name, value in page.attributes:
        if name in ("src", "srcset", "action") or (tag, name) == ("link", "href"):
            assert value == "data:," or re.match(r"/[a-z]", value), f"{tag} {name}={value}"


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_of_ours_points_to_is_there(path: str, public: FlaskClient) -> None:
    """No dead link: every address of our own answers."""
    page = read(public, path)
    local = {value for name in ("href", "src") for value in page.values(name) if value[0] in "/?"}
    assert local
    for address in local:
        with public.get(address if address[0] == "/" else f"/{address}") as answer:
            assert answer.status_code == 200, address
    anchors = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert anchors <= set(page.values("id"))


def test_pages_are_not_in_the_api_document(public: FlaskClient, internal: FlaskClient) -> None:
    for client in (public, internal):
        document = client.get("/openapi.json").get_json()
        assert document["paths"] == {}
        assert not document.get("tags")


def test_ids_are_unique_and_every_section_has_its_title(public: FlaskClient) -> None:
    page = read(public)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(page.values("aria-labelledby")) <= set(ids)


# --- languages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "link", "language"),
    [
        (None, None, "zh-CN"),
        ("en-GB,en;q=0.9", None, "en"),
        ("de", None, "zh-CN"),
        ("en", "zh", "zh-CN"),
        ("zh-CN", "en", "en"),
        ("en", "fr", "en"),
        ("en", "", "en"),
    ],
)
def test_the_page_speaks_as_asked(
    header: str | None, link: str | None, language: str, public: FlaskClient
) -> None:
    path = "/" if link is None else f"/?lang={link}"
    answer = public.get(path, headers={"Accept-Language": header} if header else {})
    assert answer.headers["Content-Language"] == language
    assert f'<html lang="{language}">' in answer.text


def test_the_choice_is_remembered(public: FlaskClient) -> None:
    chosen = public.get("/?lang=en")
    assert "HttpOnly" in chosen.headers["Set-Cookie"]
    assert "SameSite=Lax" in chosen.headers["Set-Cookie"]
    again = public.get("/", headers={"Accept-Language": "zh-CN"})
    assert again.headers["Content-Language"] == "en"
    assert "Set-Cookie" not in again.headers


def test_a_foreign_cookie_is_ignored(public: FlaskClient) -> None:
    public.set_cookie("lang", "x" * 500)
    assert public.get("/").headers["Content-Language"] == "zh-CN"


@pytest.mark.parametrize("changes", [{}, {"finished_at": None}, {"ok": False}])
def test_the_english_page_is_english(
    public: FlaskClient, write_story: Any, changes: dict[str, Any]
) -> None:
    write_story(**changes)
    text = read(public, "/?lang=en").text.replace("中文", "")
    assert not HAN.search(text)


def test_the_internal_page_speaks_both(internal: FlaskClient) -> None:
    assert "内部业务网" in read(internal, "/?lang=zh").text
    english = read(internal, "/?lang=en").text
    assert "The internal network" in english
    assert not HAN.search(english.replace("中文", ""))


# --- the story ----------------------------------------------------------------------------------


def test_without_a_story_the_page_says_how_to_play_it(public: FlaskClient) -> None:
    page = read(public)
    assert "还没有演过" in page.text
    assert "make story" in page.text
    assert "refresh" not in page.values("http-equiv")


def test_the_command_on_the_page_is_one_the_player_takes(
    public: FlaskClient, portal: Portal, city: dict[str, Any], write_story: Any
) -> None:
    command = shlex.split(portal.play_command.replace("\\\n", ""))
    assert command[1:3] == ["-m", story_player.__package__]
    options = story_player._parser().parse_args(command[3:])
    assert options.result == portal.story_path
    assert (options.public, options.internal) == (portal.public_url, portal.internal_url)
    assert portal.play_command in read(public).text
    city["sandbox"]["enabled"] = False
    assert portal.play_command not in read(public).text
    city["sandbox"]["enabled"] = True
    write_story()
    assert portal.play_command not in read(public).text


def test_a_long_detail_is_folded(public: FlaskClient, write_story: Any) -> None:
    step = {**STORY["steps"][0], "detail_zh": "小票：晨光早点铺 | 支付成功 | 金额:12.50"}
    write_story(steps=[step])
    page = read(public)
    assert {"小票：晨光早点铺", "支付成功", "金额:12.50"} <= set(page.said)


def test_a_damaged_story_leaves_the_page(public: FlaskClient, portal: Portal) -> None:
    portal.story_path.write_bytes(b'{"steps": [')
    assert "结果无法读取" in read(public).text


def test_a_running_story_refreshes_the_page(public: FlaskClient, write_story: Any) -> None:
    write_story(finished_at=None, ok=None, total_milliseconds=None)
    page = read(public)
    assert "正在进行" in page.text
    assert page.values("http-equiv") == ["refresh"]
    assert "/static/portal.js" in page.values("src")


def test_a_finished_story_is_shown_with_its_times(public: FlaskClient, write_story: Any) -> None:
    write_story()
    page = read(public)
    assert "全部通过" in page.text
    for shown in ("市民登记", "84 毫秒", "2,310 毫秒", "4.3 毫秒", "余额 187.50 元", "3 步"):
        assert shown in page.text
    assert "2,398 毫秒" in page.text
    bars = [
        float(value) for tag, name, value in page.attributes if (tag, name) == ("rect", "width")
    ]
    assert bars == [100, 3.65, 100, 100, 100, 0.6]
    assert "refresh" not in page.values("http-equiv")


def test_a_story_without_time_has_bars(public: FlaskClient, write_story: Any) -> None:
    step = {name: "一" for name in ("name_zh", "name_en", "detail_zh", "detail_en")}
    write_story(steps=[{**step, "number": 1, "milliseconds": 0}], total_milliseconds=0)
    assert "0.60" in read(public).values("width")


def test_a_failed_story_says_so(public: FlaskClient, write_story: Any) -> None:
    write_story(ok=False)
    page = read(public)
    assert "没有走完" in page.text
    assert "全部通过" not in page.text


def test_what_a_step_says_is_text(public: FlaskClient, write_story: Any) -> None:
    evil = {
        f"{part}_{speak}": "<script>x</script>"
        for part in ("name", "detail")
        for speak in ("zh", "en")
    }
    write_story(steps=[{**evil, "number": 1, "milliseconds": 1}])
    page = read(public)
    assert page.inline == []
    assert "<script>x</script>" in page.text


def test_the_open_page_can_ask_what_is_new(public: FlaskClient, write_story: Any) -> None:
    assert public.get("/portal/story.json").get_json()["state"] == "missing"
    write_story()
    answer = public.get("/portal/story.json")
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.get_json()
    assert (told["state"], told["steps_count"]) == ("passed", 3)
    assert told["version"] in read(public).values("data-version")


# --- the ledger ---------------------------------------------------------------------------------


def test_figures_are_yuan_with_two_decimals(public: FlaskClient, show_proof: Any) -> None:
    show_proof(HELD)
    page = read(public)
    assert "12,500.50 元" in page.text
    assert "187.50 元" in page.text
    assert TEXTS["ledger_balanced"].zh in page.text
    assert TEXTS["custody_equal"].zh in page.text
    assert not re.findall(r"(?<![.\d,])\d+(?:\.\d)? 元", page.text)


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        (replace(HELD, credits_fen=1), "借贷不相等"),
        (replace(HELD, custody_fen=750, channel_receivable_fen=18_000), "银行已收 180.00 元"),
        (replace(HELD, custody_fen=18_749), "备付金与应付不符"),
        (replace(HELD, custody_fen=750, channel_receivable_fen=17_999), "备付金与应付不符"),
        (replace(HELD, bank_reported_fen=18_749), "备付金与应付不符"),
        (None, "此刻读不到账本"),
    ],
)
def test_the_proof_is_told_in_words(
    public: FlaskClient, show_proof: Any, proof: LedgerProof | None, says: str
) -> None:
    show_proof(proof)
    text = read(public).text
    assert says in text
    assert TEXTS["custody_equal"].zh not in text or "借贷不相等" in says


def test_the_page_asks_the_true_ledger(
    public: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Proof, "prove", lambda self: replace(HELD, debits_fen=77, credits_fen=77))
    assert "0.77 元" in read(public).text


# --- the city -----------------------------------------------------------------------------------


def test_the_citys_settings_are_shown(public: FlaskClient, city: dict[str, Any]) -> None:
    city["city"]["name"]["zh"] = "望潮市"
    city["phone_lines"][0]["number"] = "8999"
    city["limits"][0]["amount_max_fen"] = 432_100
    city["products"].append({**city["products"][0], "label": {"zh": "手环", "en": "Band"}})
    city["products"][-1]["carrier"] = "wristband"
    page = read(public)
    for shown in (
        "望潮市",
        "8999",
        "4,321.00 元",
        "手环",
        "wristband",
        "支付机构预付卡业务管理办法",
    ):
        assert shown in page.text
    assert "tel:8999" in page.values("href")


def test_the_brand_gives_the_colours(public: FlaskClient, city: dict[str, Any]) -> None:
    city["brand"]["primary_colour"] = "#123456"
    answer = public.get("/brand.css")
    assert answer.content_type.startswith("text/css")
    assert "--brand: #123456;" in answer.text
    assert "public" in answer.headers["Cache-Control"]


def test_only_a_demo_shows_hints_and_addresses_of_this_machine(
    public: FlaskClient, internal: FlaskClient, city: dict[str, Any]
) -> None:
    shown = {True: (read(public), read(internal))}
    city["sandbox"]["enabled"] = False
    shown[False] = (read(public), read(internal))
    for is_demo, pages in shown.items():
        for page in pages:
            assert (TEXTS["demo_notice"].zh in page.text) is is_demo
            assert any("127.0.0.1" in value for value in page.values("href")) is is_demo
    assert TEXTS["demo_title"].zh in shown[True][0].text
    assert TEXTS["demo_title"].zh not in shown[False][0].text


def test_no_demo_password_is_on_a_page(
    public: FlaskClient, internal: FlaskClient, city: dict[str, Any]
) -> None:
    for client in (public, internal):
        page = client.get("/").text
        for member in city["demo_staff"]:
            assert member["password"] not in page
            assert member["totp_secret"] not in page


def test_parked_events_are_counted(
    public: FlaskClient, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = portal.glance(portal.story())
    for count, says in ((0, "没有"), (3, "3 件"), (None, "此刻读不到")):
        seen = Glance(true.databases, count, true.proof)
        monkeypatch.setattr(Portal, "glance", lambda self, story, seen=seen: seen)
        assert says in read(public).text


def test_a_database_that_is_away_is_shown(
    public: FlaskClient, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = portal.glance(portal.story())
    lost = (replace(true.databases[0], is_ready=False), *true.databases[1:])
    monkeypatch.setattr(Portal, "glance", lambda self, story: Glance(lost, None, None))
    assert TEXTS["not_ready"].zh in read(public).text
