"""The page in a browser: a sale, a refusal, a torn card, a refund; by touch and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reader_bridge.local import Health, LocalServer
from reader_bridge.local.server import bind
from tests.reader_bridge.till.support import left_early, torn

SCREENS = Path(__file__).resolve().parents[3] / "var" / "screens"
COUNTER = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TOUCH_MIN_PIXELS = 44
# Notes every tone and the frequencies it was made of, before the page's own script runs.
NOTE_TONES = """
  window.tones = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (at) {
    window.tones.push(this.frequency.value);
    return start.call(this, at);
  };
"""

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Any, shop: Any) -> Iterator[Any]:
    """The page, opened by its one-time link; at the end nothing may have gone wrong in it."""
    context = browser.new_context(viewport=COUNTER, locale="zh-CN")
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith(shop.server.url) else wrong.append(asked.url),
    )
    opened.add_init_script(NOTE_TONES)
    opened.goto(shop.server.page_url())
    opened.locator('#board[data-stage="idle"]').wait_for()
    yield opened
    context.close()
    assert wrong == []


def keep_screen(page: Any, name: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"till-{name}.png", full_page=True, animations="disabled")


def wait_board(page: Any, stage: str, signal: str) -> None:
    page.locator(f'#board[data-stage="{stage}"][data-signal="{signal}"]').wait_for(timeout=10_000)


def type_amount(page: Any, keys: str) -> None:
    for key in keys:
        page.locator(f'#keys [data-key="{key}"]').click()


def deny(command: bytes) -> bytes:
    return b"\x6a\x82"


def test_a_sale_by_touch(page: Any, shop: Any, kit: Any, backend: Any) -> None:
    type_amount(page, "12.5")
    assert page.text_content("#typed") == "12.5"
    keep_screen(page, "idle-zh")
    page.locator("#charge").click()
    wait_board(page, "waiting", "none")
    assert page.locator("#entry").is_hidden()
    keep_screen(page, "waiting-zh")
    shop.counter.insert(kit.card().transmit)
    wait_board(page, "done", "ok")
    assert page.text_content("#message") == "支付成功"
    assert page.text_content("#amount") == "¥ 12.50"
    assert page.text_content("#balance") == "¥ 187.50"
    assert page.locator("#assure").is_hidden()
    assert "CITY CARD" in page.text_content("#card")
    assert page.evaluate("window.tones") == [880, 1320]
    page.locator('#sales li[data-state="paid"]').wait_for()
    keep_screen(page, "paid-zh")
    page.locator("#language").click()
    assert page.text_content("#message") == "Paid"
    assert page.evaluate("document.documentElement.lang") == "en"
    keep_screen(page, "paid-en")
    assert backend.charges() == [1250]


def test_a_refusal_by_keyboard(page: Any, shop: Any) -> None:
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    wait_board(page, "waiting", "none")
    shop.counter.insert(deny)
    wait_board(page, "done", "no")
    assert page.text_content("#message") == "不是本市市民卡"
    assert page.text_content("#assure") == "本次未扣款"
    assert page.locator("#balance-row").is_hidden()
    assert page.evaluate("window.tones") == [330, 220]
    page.locator('#sales li[data-state="refused"]').wait_for()
    keep_screen(page, "refused-zh")


def test_torn_then_again_then_paid(page: Any, shop: Any, kit: Any, backend: Any) -> None:
    shop.acceptor.accidents += [torn, left_early]
    page.locator("#language").click()
    page.locator("#large").click()
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    wait_board(page, "waiting", "none")
    shop.counter.insert(deny)
    wait_board(page, "again", "again")
    assert "same card" in page.text_content("#message")
    assert page.text_content("#cancel") == "Set aside"
    assert page.evaluate("window.tones") == [660, 660, 660]
    keep_screen(page, "again-large-en")
    shop.counter.insert(kit.card().transmit)
    page.get_by_text("left too soon").wait_for()
    shop.counter.insert(kit.card().transmit)
    wait_board(page, "done", "ok")
    keep_screen(page, "paid-large-en")
    assert backend.charges() == [800]


def test_cancel_by_escape_and_an_empty_amount(page: Any, shop: Any) -> None:
    page.keyboard.press("Enter")
    page.get_by_text("请输入有效金额").wait_for()
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    wait_board(page, "waiting", "none")
    page.keyboard.press("Escape")
    page.get_by_text("已取消,未扣款").wait_for()
    page.locator('#sales li[data-state="cancelled"]').wait_for()


def test_money_back(page: Any, shop: Any, kit: Any, backend: Any) -> None:
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    wait_board(page, "waiting", "none")
    shop.counter.insert(kit.card().transmit)
    page.locator('#sales li[data-state="paid"] button').click()
    page.locator("#refund-amount").fill("2.5x")
    page.locator("#refund-go").click()
    page.get_by_text("请输入有效金额").wait_for()
    page.locator("#refund-amount").fill("2.5")
    page.locator("#refund-go").click()
    page.get_by_text("退款成功 ¥ 2.50").wait_for()
    keep_screen(page, "refund-zh")
    assert sum("/refunds" in path for path in backend.paths()) == 1
    page.locator("#refund-close").click()


def test_the_network_is_away(page: Any, shop: Any) -> None:
    shop.health = Health(is_online=False, kept_count=3, kept_sum_fen=2400)
    page.get_by_text("网络中断:仅受理脱机交易,待上传 3 笔").wait_for(timeout=10_000)
    assert page.locator("#network").get_attribute("data-state") == "offline"
    keep_screen(page, "offline-zh")


@pytest.mark.parametrize("is_large", [False, True], ids=["normal", "large"])
def test_it_fits_a_phone_and_a_thumb(page: Any, is_large: bool) -> None:
    page.set_viewport_size(PHONE)
    if is_large:
        page.locator("#large").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= TOUCH_MIN_PIXELS, button.text_content()
    keep_screen(page, "phone-large" if is_large else "phone")


def test_without_the_link_there_is_no_till(browser: Any, shop: Any) -> None:
    context = browser.new_context()
    opened = context.new_page()
    assert opened.goto(shop.server.url).status == 401
    assert opened.locator("h1").first.text_content() == "请用一次性链接打开"
    assert opened.locator("#charge").count() == 0
    context.close()


def test_the_page_comes_back_with_the_terminal(browser: Any, shop: Any) -> None:
    """Goal: the program is started anew; the cookie still holds and nobody touches the page."""
    context = browser.new_context(locale="zh-CN")
    opened = context.new_page()
    opened.goto(shop.server.page_url())
    opened.locator('#board[data-stage="idle"]').wait_for()
    shop.server.stop()
    opened.get_by_text("与终端程序的连接中断").wait_for(timeout=10_000)
    again = LocalServer(shop.server.app, bind(shop.server.port))
    shop.server.app.state.streams.is_ending = False
    again.start()
    opened.locator("#banner").wait_for(state="hidden", timeout=20_000)
    shop.till.start_sale("R1", 100)
    wait_board(opened, "waiting", "none")
    context.close()
    again.stop()


def test_a_lost_answer_keeps_the_number_of_the_sale(page: Any, shop: Any) -> None:
    """Goal: the terminal took the order, its answer got lost, the merchant presses again."""
    sent: list[str] = []

    def lose_first(route: Any) -> None:
        sent.append(route.request.post_data_json["reference"])
        if len(sent) == 1:
            route.fulfill(body="")  # no JSON: no answer
        else:
            route.continue_()

    page.route("**/v1/sales", lose_first)
    page.keyboard.type("8")
    page.keyboard.press("Enter")
    page.get_by_text("连接中断").wait_for()
    page.keyboard.press("Enter")
    wait_board(page, "waiting", "none")
    assert sent[0] == sent[1] == shop.till.screen().order.reference
