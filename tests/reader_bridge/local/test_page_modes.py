"""The page by its place: a loading post with its PIN pad, a bus, a gate, parking; by touch and
keyboard, in two languages, on a phone and on a tablet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from card_protocol.terminal_profile import Mode
from reader_bridge import CardFault
from reader_bridge.receipt import receipt_of_fault
from reader_bridge.till import Post
from tests.reader_bridge.local.test_page_browser import (
    PHONE,
    SCREENS,
    TOUCH_MIN_PIXELS,
    deny,
    wait_board,
)
from tests.reader_bridge.till.support import HEADING, given_back, loaded, passed, torn_load, wants

TABLET = {"width": 1024, "height": 768}
AMOUNTS = (1_000, 2_000, 5_000, 10_000, 20_000)
LOADING = Post(Mode.LOADING, load_amounts_fen=AMOUNTS)
BUS = Post(Mode.BUS, fare_fen=200)

pytestmark = pytest.mark.browser
Open = Callable[[Post], Any]


@pytest.fixture
def open_page(browser: Any, shop: Any) -> Iterator[Open]:
    """Opens the page of a terminal at such a place; nothing may go wrong in it."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def opening(post: Post) -> Any:
        shop.acceptor.stands_at = post
        context = browser.new_context(viewport=TABLET, locale="zh-CN")
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(shop.server.page_url())
        page.locator(f'body[data-mode="{post.mode.value}"]').wait_for()
        return page

    yield opening
    for context in contexts:
        context.close()
    assert wrong == []


def keep_screens(page: Any, name: str) -> None:
    """Tablet and phone; a phone's page never scrolls sideways and every button takes a thumb."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    for size, size_name in ((PHONE, "phone"), (TABLET, "tablet")):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        for button in page.locator("button:visible, summary:visible").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= TOUCH_MIN_PIXELS, button.text_content()
        path = SCREENS / f"till-{name}-{size_name}.png"
        page.screenshot(path=path, full_page=True, animations="disabled")


def too_little(order: Any, channel: Any) -> Any:
    return receipt_of_fault(HEADING, CardFault("purse_balance_low"), 200, order.reference)


@contextmanager
def in_english(page: Any) -> Iterator[None]:
    page.locator("#language").click()
    yield
    page.locator("#language").click()


def steps_of(page: Any) -> list[str]:
    return [item.get_attribute("data-state") for item in page.locator("#steps li").all()]


def test_a_load_with_payer_and_pin(open_page: Open, shop: Any) -> None:
    shop.acceptor.accidents += [wants("load_show_purse"), wants("load_pin_wanted"), loaded]
    page = open_page(LOADING)
    assert page.locator("#entry").is_hidden()
    assert page.locator(".amount-choice").all_text_contents() == [
        "¥ 10",
        "¥ 20",
        "¥ 50",
        "¥ 100",
        "¥ 200",
    ]
    keep_screens(page, "loading-idle-zh")
    with in_english(page):
        keep_screens(page, "loading-idle-en")
    page.locator('[data-fen="5000"]').click()
    page.get_by_text("请出示付款码或手机卡付款").wait_for()
    keep_screens(page, "loading-payer-zh")
    shop.counter.insert(deny)
    page.get_by_text("付款人已确认").wait_for()
    shop.counter.remove()
    shop.counter.insert(deny)
    page.locator("#pin").wait_for()
    page.keyboard.type("12x3")
    page.locator('[data-pin-key="4"]').click()
    assert page.text_content("#pin-typed") == "●●●●"
    keep_screens(page, "loading-pin-zh")
    assert "1234" not in page.content()
    assert "1234" not in page.evaluate("JSON.stringify({...localStorage})")
    page.keyboard.press("Enter")
    page.get_by_text("请将同一张卡再次靠近").wait_for()
    assert page.locator("#pin").is_hidden()
    shop.counter.remove()
    shop.counter.insert(deny)
    wait_board(page, "done", "ok")
    assert page.text_content("#message") == "圈存成功"
    assert page.text_content("#balance") == "¥ 62.50"
    assert steps_of(page) == ["done", "done", "done"]
    assert page.text_content("#card-name") == "电子钱包卡"
    assert page.locator("#card-steps").is_hidden()
    page.locator("#card-more").click()
    assert "18.4 ms" in page.text_content("#card-steps")
    page.locator("#card-more").click()
    line = page.locator('#sales li[data-state="loaded"]')
    line.wait_for()
    assert line.text_content().startswith("¥ 50.00已圈存圈存 · 电子钱包卡")
    keep_screens(page, "loading-done-zh")
    with in_english(page):
        keep_screens(page, "loading-done-en")


def test_a_short_pin_and_one_at_the_wrong_moment(open_page: Open, shop: Any) -> None:
    shop.acceptor.accidents += [wants("load_pin_wrong")]
    page = open_page(LOADING)
    page.locator('[data-funding="cash"]').click()
    page.locator('[data-fen="1000"]').click()
    page.get_by_text("请将要充值的卡靠近").wait_for()
    shop.counter.insert(deny)
    page.locator("#pin").wait_for()
    page.keyboard.type("12")
    page.keyboard.press("Backspace")
    page.locator("#pin-go").click()
    page.get_by_text("密码为 4 至 12 位数字").wait_for()
    page.keyboard.press("Escape")
    page.get_by_text("已取消,未扣款").wait_for()


def test_a_torn_load_and_one_given_back(open_page: Open, shop: Any) -> None:
    shop.acceptor.accidents += [torn_load, given_back]
    page = open_page(LOADING)
    page.locator('[data-funding="cash"]').click()
    page.locator('[data-fen="2000"]').click()
    wait_board(page, "waiting", "none")
    shop.counter.insert(deny)
    wait_board(page, "again", "again")
    assert steps_of(page) == ["done", "now", "open"]
    keep_screens(page, "loading-again-zh")
    shop.counter.remove()
    shop.counter.insert(deny)
    wait_board(page, "done", "no")
    assert page.text_content("#message") == "未写入卡片,款项退回"
    assert page.locator("#assure").is_hidden()
    assert steps_of(page) == ["done", "done"]
    keep_screens(page, "loading-returned-zh")


def test_a_shop_may_load_too(open_page: Open, shop: Any) -> None:
    page = open_page(Post(load_amounts_fen=AMOUNTS))
    assert page.locator("#loading").is_hidden()
    page.locator("#to-load").click()
    assert page.locator("#entry").is_hidden()
    page.locator("#to-sell").click()
    page.locator("#charge").wait_for()


def test_a_bus(open_page: Open, shop: Any) -> None:
    shop.acceptor.accidents += [passed(200, 4_800)]
    page = open_page(BUS)
    wait_board(page, "waiting", "none")
    assert page.text_content("#message") == "请刷卡"
    assert page.text_content("#amount") == "¥ 2.00"
    for gone in ("#entry", "#running", "#loading", "#no-sales"):
        assert page.locator(gone).is_hidden(), gone
    box = page.locator("#board").bounding_box()
    assert box["height"] >= 0.7 * TABLET["height"]
    keep_screens(page, "bus-zh")
    with in_english(page):
        assert page.text_content("#message") == "Please tap"
        keep_screens(page, "bus-en")
    shop.counter.insert(deny)
    wait_board(page, "done", "ok")
    assert page.text_content("#balance") == "¥ 48.00"
    keep_screens(page, "bus-paid-zh")
    wait_board(page, "waiting", "none")
    shop.counter.remove()
    shop.acceptor.accidents += [too_little]
    shop.counter.insert(deny)
    wait_board(page, "done", "no")
    keep_screens(page, "bus-refused-zh")


@pytest.mark.parametrize(
    ("post", "amount_fen", "words"),
    [
        (Post(Mode.GATE, direction="entry"), 0, ("进站", "请通行")),
        (Post(Mode.GATE, direction="exit"), 300, ("出站", "请通行")),
        (Post(Mode.PARKING), 0, ("停车:入场、离场各刷一次", "已入场,开始计时")),
        (Post(Mode.PARKING), 750, ("停车:入场、离场各刷一次", "停车结束,一路平安")),
        (Post(Mode.BICYCLE), 100, ("自行车:借车、还车各刷一次", "已还车,谢谢")),
    ],
    ids=["entry", "exit", "parked", "left", "returned"],
)
def test_gates_and_stays(
    open_page: Open, shop: Any, post: Post, amount_fen: int, words: tuple[str, str]
) -> None:
    shop.acceptor.accidents += [passed(amount_fen, 4_000)]
    page = open_page(post)
    wait_board(page, "waiting", "none")
    assert page.text_content("#place") == words[0]
    name = f"{post.mode.value}-{post.direction or amount_fen}"
    keep_screens(page, f"{name}-zh")
    shop.counter.insert(deny)
    wait_board(page, "done", "ok")
    assert page.text_content("#message") == words[1]
    assert page.text_content("#amount") == (f"¥ {amount_fen / 100:.2f}" if amount_fen else "")
    keep_screens(page, f"{name}-done-zh")
