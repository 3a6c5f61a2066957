"""The shop's part of the story: set up, taps, codes, a lost answer, a refund."""

from __future__ import annotations

import io
from pathlib import Path

import qrcode
import zxingcpp
from PIL import Image
from typeid import TypeID

from card_protocol import pay_code
from reader_bridge import Outcome, Receipt, Terminal
from reader_bridge.backend_client import BackendClient
from reader_bridge.client_key import JOURNAL_FILE, load_key, load_or_make_key
from reader_bridge.clock import Clock
from reader_bridge.codes import read_picture
from reader_bridge.journal import Journal
from tools.story.network import LossyProxy
from tools.story.reader import tap
from tools.story.staff import Staff
from tools.story.stage import Stage, Told, require, require_equal, yuan

TAP_FEN = 1250
SHORT_BY_FEN = 5000
PAY_CODE_FEN = 860
BILL_FEN = 2340
LOST_FEN = 1500
REFUND_FEN = 500
MERCHANT_NAME, MERCHANT_NAME_EN, SHOP_NAME = "晨光早点铺", "CHENGUANG BREAKFAST", "滨江路店"


def set_up(stage: Stage) -> Told:
    """Staff on the internal network: a merchant, its shop, a terminal, the merchant's server."""
    stage.staff = stage.exits.enter_context(Staff(stage.internal))
    member = stage.city["demo_staff"][0]
    stage.staff.log_in(member["username"], member["password"], member["totp_secret"])
    add_merchant(stage)
    return Told(
        f"{MERCHANT_NAME} {SHOP_NAME}，两个激活码",
        f"{member['username']} made {stage.merchant_id} with two activation codes",
    )


def add_merchant(stage: Stage) -> None:
    """A merchant nobody else sells for: its statement is the story's and nothing but."""
    merchant_id, shop_id = str(TypeID("mer")), str(TypeID("shp"))
    merchant = {
        "merchant_id": merchant_id,
        "name": MERCHANT_NAME,
        "name_en": MERCHANT_NAME_EN,
        "mcc": "5814",
        "city": stage.city["city"]["name"]["zh"],
    }
    made = stage.staff.post("/v1/ops/merchants", merchant)
    require_equal("merchant made", made["merchant_id"], merchant_id)
    shop = {"shop_id": shop_id, "name": SHOP_NAME}
    made = stage.staff.post(f"/v1/ops/merchants/{merchant_id}/shops", shop)
    require_equal("shop made", (made["shop_id"], made["merchant_id"]), (shop_id, merchant_id))
    stage.merchant_id, stage.shop_name = merchant_id, SHOP_NAME
    stage.activation_codes["terminal"] = order_terminal(stage, shop_id, "收银台")
    client = {"client_id": str(TypeID("mcl")), "label": "商户后台"}
    made = stage.staff.post(f"/v1/ops/merchants/{merchant_id}/clients", client)
    require_equal("merchant's server made", made["client_id"], client["client_id"])
    stage.activation_codes["merchant"] = made["activation_code"]


def order_terminal(stage: Stage, shop_id: str, label: str) -> str:
    """The activation code; the same order again is the same code."""
    path = f"/v1/ops/shops/{shop_id}/terminals"
    terminal = {"terminal_id": str(TypeID("trm")), "label": label}
    made = stage.staff.post(path, terminal)
    require_equal("terminal made", made["terminal_id"], terminal["terminal_id"])
    again = stage.staff.post(path, terminal)
    require_equal("activation code told again", again["activation_code"], made["activation_code"])
    code: str = made["activation_code"]
    return code


def activate(stage: Stage) -> Told:
    """Till and merchant's server make keys, trade their codes for names, and log in."""
    folder = stage.folder / "terminal"
    terminal = Terminal.activate(folder, stage.public, stage.activation_codes["terminal"])
    stage.terminal = stage.exits.enter_context(terminal)
    require_equal("terminal's merchant", terminal.identity.merchant_id, stage.merchant_id)
    profile = terminal.profile()
    number = terminal.identity.terminal_number
    require_equal("terminal's own number", profile.terminal_number, number)
    require_equal("shop on the receipt", profile.shop_name, stage.shop_name)
    require(bool(profile.applications and profile.issuer_keys), "the terminal accepts nothing")
    activate_server(stage)
    return Told(
        f"终端 {number} 与商户后台已激活、已登录",
        f"terminal {number} and the merchant's server are active and logged in",
    )


def activate_server(stage: Stage) -> None:
    """The merchant's own server reads statements, with a key of its own."""
    folder = stage.folder / "merchant"
    folder.mkdir(mode=0o700)
    key = load_or_make_key(folder)
    with BackendClient(stage.public, key, None) as stranger:
        answer = stranger.activate(stage.activation_codes["merchant"], "商户后台")
    require_equal("kind of client", answer["kind"], "merchant")
    require_equal("server's merchant", answer["merchant_id"], stage.merchant_id)
    client = BackendClient(stage.public, key, str(answer["client_id"]))
    stage.merchant = stage.exits.enter_context(client)
    stage.merchant.ensure_session()


def tap_phone(stage: Stage) -> Told:
    """12.50 yuan by a tap: the phone's card, the till's reader, one receipt."""
    receipt = tap(stage.till, stage.wallet.card(), stage.terminal, TAP_FEN, "S1")
    _require_paid(stage, receipt, TAP_FEN)
    milliseconds = sum(
        milliseconds for name, milliseconds in receipt.steps if name in {"card", "store", "backend"}
    )
    via = {"pcsc": "PC/SC", "loopback": "loopback"}[stage.till.kind]
    return Told(
        f"{via} {milliseconds:.0f} ms，小票：{_one_line(receipt.text('zh-CN'))}",
        f"{via} {milliseconds:.0f} ms, receipt: {_one_line(receipt.text('en'))}",
    )


def tap_refused(stage: Stage) -> Told:
    """More than there is: refused with the reason and the balance, and nothing moves."""
    amount_fen = stage.balance_fen + SHORT_BY_FEN
    receipt = tap(stage.till, stage.wallet.card(), stage.terminal, amount_fen, "S2")
    require_equal("outcome", receipt.outcome, Outcome.REFUSED)
    assert receipt.refusal is not None
    require_equal("reason", receipt.refusal.code, "insufficient_funds")
    require_equal("balance shown", receipt.balance_fen, stage.balance_fen)
    require_equal("short by", receipt.refusal.data.get("short_by_fen"), SHORT_BY_FEN)
    stage.require_books()
    asked, balance = yuan(amount_fen), yuan(stage.balance_fen)
    return Told(
        f"{asked} 元被拒：{receipt.refusal.text.zh}，余额 {balance} 元",
        f"{asked} yuan refused: {receipt.refusal.text.en}, balance {balance} yuan",
    )


def pay_by_code(stage: Stage) -> Told:
    """A pay code made without network, read from its picture by the till, paid."""
    picture_file = stage.folder / "pay-code.png"
    passed, stage.gate.is_open = stage.gate.passed, False
    try:
        before = stage.wallet.pay_code().digits
        picture_file.write_bytes(stage.wallet.pay_code_picture())
        after = stage.wallet.pay_code().digits
        went_out = stage.gate.passed - passed + stage.gate.stopped
    finally:
        stage.gate.is_open = True
    require_equal("requests while the phone was offline", went_out, 0)
    digits = read_picture(picture_file.read_bytes())
    require(digits in {before, after}, "the picture shows another code than the phone")
    require_equal("length of the code", len(pay_code.decode(digits).encode()), 19)
    receipt = stage.terminal.sell(PAY_CODE_FEN, register_reference="S3", pay_code=digits)
    _require_paid(stage, receipt, PAY_CODE_FEN)
    amount = yuan(PAY_CODE_FEN)
    size = picture_file.stat().st_size
    return Told(
        f"离线生成，从 PNG（{size} 字节）识读，付 {amount} 元",
        f"made with no request, read from a PNG of {size} bytes, {amount} yuan paid",
    )


def pay_merchant_code(stage: Stage) -> Told:
    """The till shows a code as a picture, the phone scans and pays it, the till sees it paid."""
    bill = "B0001"
    picture_file = stage.folder / "merchant-code.png"
    qrcode.make(stage.terminal.merchant_code(BILL_FEN, bill)).save(picture_file)
    require_equal("bill before it is paid", stage.terminal.paid(bill), None)
    content = _scan(picture_file)
    view = stage.wallet.read_merchant_code(content)
    shown = (view.is_checked, view.merchant_name, view.shop_name, view.amount_fen, view.bill_number)
    require_equal("code", shown, (True, MERCHANT_NAME, SHOP_NAME, BILL_FEN, bill))
    payment = stage.wallet.pay_merchant_code(content, BILL_FEN)
    require_equal("payment's state", payment.state, "captured")
    stage.note_sale(payment.payment_id, BILL_FEN)
    stage.require_books()
    receipt = stage.terminal.paid(bill)
    require(receipt is not None and receipt.is_paid, "the till does not see its bill paid")
    assert receipt is not None
    seen = (receipt.payment_id, receipt.amount_fen)
    require_equal("what the till sees", seen, (payment.payment_id, BILL_FEN))
    amount = yuan(BILL_FEN)
    return Told(f"扫码付 {amount} 元，终端已见到账", f"{amount} yuan paid, the till sees it")


def lose_answer(stage: Stage) -> Told:
    """The sale is done, its answer never arrives; asked again: the same answer, one charge."""
    folder, identity = stage.folder / "terminal", stage.terminal.identity
    with LossyProxy(stage.public) as proxy:
        client = BackendClient(proxy.url, load_key(folder), identity.client_id)
        journal = Journal(folder / JOURNAL_FILE)
        with Terminal(identity, journal, client, clock=Clock(), language="zh-CN") as till:
            till.profile()  # logged in, and knows what to accept
            proxy.is_cut = True
            receipt = tap(stage.till, stage.wallet.card(), till, LOST_FEN, "S4")
            require_equal("outcome without an answer", receipt.outcome, Outcome.UNKNOWN)
            proxy.is_cut = False
            asked = till.ask_again("S4")
            again = till.sell(LOST_FEN, register_reference="S4", reader=None, pay_code="unread")
    sales = [one for one in proxy.lost if one.method == "POST"]
    require(len(sales) > 1, "the sale was sent only once")
    require_equal("status of the lost answer", sales[0].status, 201)
    first, *replays = sales
    for replay in replays:
        require(replay.is_replayed, "the same sale sent again was not told as a replay")
        require_equal("answer to the same sale", replay.body, first.body)
    require_equal("the same sale asked twice", again.payment_id, asked.payment_id)
    require(again.is_repeated, "the till took its old sale for a new one")
    _require_paid(stage, asked, LOST_FEN)
    count = len(proxy.lost)
    return Told(
        f"{count} 次应答全部丢失，再问得同一答复，{yuan(LOST_FEN)} 元只扣一次",
        f"{count} answers lost, asked again: the same answer, {yuan(LOST_FEN)} yuan charged once",
    )


def refund(stage: Stage) -> Told:
    """Part of the tap is given back; the merchant's server sees what is left."""
    receipt = stage.terminal.refund("S1", REFUND_FEN, refund_reference="R1", reason="少一份豆浆")
    require_equal("outcome", receipt.outcome, Outcome.POSTED)
    assert receipt.refund_id is not None
    stage.note_refund(receipt.refund_id, REFUND_FEN)
    again = stage.terminal.refund("S1", REFUND_FEN, refund_reference="R1")
    require_equal("the same refund asked twice", again.refund_id, receipt.refund_id)
    stage.require_books()
    payment = stage.merchant.get(f"/v1/merchant/payments/{receipt.payment_id}")
    seen = payment["state"], payment["captured_fen"], payment["refunded_fen"]
    require_equal("payment", seen, ("partially_refunded", TAP_FEN, REFUND_FEN))
    back, balance = yuan(REFUND_FEN), yuan(stage.balance_fen)
    return Told(f"退 {back} 元，余额 {balance} 元", f"{back} yuan back, balance {balance} yuan")


def _require_paid(stage: Stage, receipt: Receipt, amount_fen: int) -> None:
    """The receipt, the till's question by id, and the citizen's books all say: paid, once."""
    reason = f" ({receipt.refusal.code})" if receipt.refusal else ""
    require(receipt.is_paid, f"the sale is {receipt.outcome.value}{reason}, not paid")
    require_equal("amount on the receipt", receipt.amount_fen, amount_fen)
    assert receipt.payment_id is not None
    stage.note_sale(receipt.payment_id, amount_fen)
    require_equal("balance on the receipt", receipt.balance_fen, stage.balance_fen)
    payment = stage.terminal.client.get(f"/v1/terminal/payments/{receipt.payment_id}")
    seen = payment["state"], payment["captured_fen"], payment["shop_name"]
    require_equal("payment", seen, ("captured", amount_fen, stage.shop_name))
    stage.require_books()


def _scan(picture_file: Path) -> str:
    """What a phone's camera reads."""
    with Image.open(io.BytesIO(picture_file.read_bytes())) as image:
        found = zxingcpp.read_barcodes(image.convert("L"))
    require_equal("codes in the picture", len(found), 1)
    text: str = found[0].text
    return text


def _one_line(receipt_text: str) -> str:
    return " | ".join(receipt_text.splitlines())
