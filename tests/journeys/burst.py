"""Tills and phones that sell and pay at once until the server dies under them, and what is owed
to them afterwards. Each player is one citizen at one merchant, one operation at a time: whatever
it was told is in its books, and at most one operation is open.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from reader_bridge import Outcome, Receipt, Unreachable
from sdk_mobile import Payment, SdkError, TopUp
from tools.story import books as story_books
from tools.story import citizen as story_citizen
from tools.story import shop as story_shop
from tools.story.instance import Instance
from tools.story.player import load_city
from tools.story.reader import LoopbackTill, tap
from tools.story.stage import BANK_CARD, Movement, Stage, require_equal

JOIN_SECONDS = 60.0
SALE_FEN = 100
REFUND_FEN = 30
LATE_TOP_UP_FEN = 101  # the bank does not answer and pays later
SETTLED_SECONDS = 30.0
ASK_SECONDS = 0.1
PAGE_LINES = 100


class ServerGone(Exception):
    """An operation ended without an answer."""


class Acknowledgements:
    """Counts what players were told, and wakes who waits for a number of it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._is_over = False

    @property
    def count(self) -> int:
        return self._count

    def one_more(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def over(self) -> None:
        """A player has left before its time: nobody needs to wait any longer."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._count >= count or self._is_over, JOIN_SECONDS)
            return self._count >= count


class Player:
    """Plays `manner` again and again in a thread of its own; keeps books of what it was told."""

    def __init__(self, stage: Stage, manner: Callable[[Player], None], seed: int) -> None:
        self.stage = stage
        self.dice = random.Random(seed)
        self.number = 0
        self.open_top_up: str | None = None
        self.killed = threading.Event()
        self.error: BaseException | None = None
        self._asked = 0  # lines of the merchant's that were asked by id
        self._manner = manner
        self._thread = threading.Thread()

    def start(self, told: Acknowledgements, killed: threading.Event) -> None:
        self.killed = killed
        self._thread = threading.Thread(target=self._run, args=(told,))
        self._thread.start()

    def join(self) -> None:
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive(), "a player plays on without a server"
        if self.error is not None:
            raise self.error

    def take_up(self) -> None:
        """What a till and a phone do when they are started again; then the books are compared."""
        for receipt in self.stage.terminal.recover():
            self._note(receipt)
        for outcome in self.stage.wallet.resume():
            if outcome.refusal is None and outcome.kind == "pay":
                assert isinstance(outcome.result, Payment)
                self.stage.note_sale(outcome.result.payment_id, outcome.result.amount_fen)
            if outcome.refusal is None and outcome.kind == "top_up":
                assert isinstance(outcome.result, TopUp)
                self.open_top_up = outcome.result.topup_id
        assert self.stage.wallet.open_operations() == ()
        assert self.stage.terminal.journal.pending() == ()
        if self.open_top_up is not None:
            self.settle_top_up(self.open_top_up)

    def require_books(self) -> None:
        """Every acknowledged movement is there once, and no other, however it is asked."""
        self.stage.require_books()
        lines, _ = story_books.statement(self.stage, PAGE_LINES)
        require_equal("statement", lines, self.stage.merchant_lines[::-1])
        asked, self._asked = self._asked, len(self.stage.merchant_lines)
        for line in self.stage.merchant_lines[asked:]:
            if line.code == "payment":
                payment = self.stage.merchant.get(f"/v1/merchant/payments/{line.reference}")
                assert payment["captured_fen"] == line.amount_fen

    def tap(self) -> None:
        self.stage.wallet.refill_keys_if_needed()
        self.number += 1
        card, terminal = self.stage.wallet.card(), self.stage.terminal
        self._note(tap(self.stage.till, card, terminal, SALE_FEN, f"S{self.number}"))

    def tap_or_refund(self) -> None:
        """Now and then the sale before goes back in part."""
        self.tap()
        if self.dice.random() < 0.3:
            receipt = self.stage.terminal.refund(
                f"S{self.number}", REFUND_FEN, refund_reference=f"R{self.number}"
            )
            self._note(receipt)

    def scan(self) -> None:
        self.number += 1
        content = self.stage.terminal.merchant_code(SALE_FEN, f"B{self.number}")
        payment = self.stage.wallet.pay_merchant_code(content, SALE_FEN)
        self.stage.note_sale(payment.payment_id, payment.amount_fen)

    def top_up_late(self) -> None:
        """Asks until the money is there, or until nobody answers."""
        top_up = self.stage.wallet.top_up(LATE_TOP_UP_FEN, BANK_CARD)
        self.open_top_up = top_up.topup_id
        while not top_up.is_settled:
            if self.killed.wait(ASK_SECONDS):
                raise ServerGone(top_up.topup_id)
            top_up = self.stage.wallet.top_up_status(top_up.topup_id)
        self._note_top_up(top_up)

    def settle_top_up(self, topup_id: str) -> None:
        self._note_top_up(self.stage.wallet.wait_for_top_up(topup_id, SETTLED_SECONDS))

    def _note_top_up(self, settled: TopUp) -> None:
        require_equal("top-up's state", settled.state, "succeeded")
        line = Movement("top_up", settled.amount_fen, settled.topup_id)
        self.stage.wallet_lines.append(line)
        self.open_top_up = None

    def _run(self, told: Acknowledgements) -> None:
        try:
            while True:  # until the server dies in the middle of it
                self._manner(self)
                told.one_more()
        except (ServerGone, Unreachable, SdkError) as error:
            if not self.killed.is_set():
                self.error = error
        except BaseException as error:
            self.error = error
        if self.error is not None:
            told.over()

    def _note(self, receipt: Receipt) -> None:
        """Raises ServerGone for an outcome that is not known, or a request that was not sent."""
        if receipt.outcome is Outcome.UNKNOWN:
            raise ServerGone(receipt.register_reference)
        if receipt.outcome is Outcome.REFUSED:
            assert receipt.refusal is not None
            assert receipt.refusal.code == "backend_unreachable", receipt.refusal.code
            raise ServerGone(receipt.register_reference)
        if receipt.outcome is Outcome.CAPTURED:
            assert receipt.payment_id is not None
            self.stage.note_sale(receipt.payment_id, receipt.amount_fen)
        if receipt.outcome is Outcome.POSTED:
            assert receipt.refund_id is not None
            self.stage.note_refund(receipt.refund_id, receipt.amount_fen)


MANNERS: tuple[Callable[[Player], None], ...] = (
    Player.tap_or_refund,
    Player.tap,
    Player.scan,
    Player.top_up_late,
)


@contextmanager
def players(instance: Instance, folder: Path, seed: int) -> Iterator[list[Player]]:
    """One player of each manner, with a card on the phone and 200 yuan in the wallet."""
    city, city_folder = load_city()
    with ExitStack() as exits:
        made: list[Player] = []
        for number, manner in enumerate(MANNERS):
            stage = Stage(
                public=instance.public,
                internal=instance.internal,
                city=city,
                city_folder=city_folder,
                folder=folder / str(number),
                till=LoopbackTill(),
                exits=exits,
            )
            stage.folder.mkdir()
            _set_up(stage, made[0].stage if made else None)
            made.append(Player(stage, manner, seed + number))
        yield made


def kill_in_mid_burst(instance: Instance, playing: list[Player], after: int) -> int:
    """`kill -9` once `after` operations were acknowledged; how many there were in the end."""
    told, killed = Acknowledgements(), threading.Event()
    for player in playing:
        player.start(told, killed)
    try:
        in_time = told.wait_for(after)
    finally:
        killed.set()  # from here on an operation may fail
        instance.kill()
        for player in playing:
            player.join()
    assert in_time, f"only {told.count} operations of {after} in time"
    assert not _answers(instance), "the server still answers"
    return told.count


def _answers(instance: Instance) -> bool:
    try:
        httpx.get(f"{instance.public}/healthz", timeout=2, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _set_up(stage: Stage, first: Stage | None) -> None:
    """Staff logs in once; a merchant, a citizen and a card for each player."""
    if first is None:
        story_shop.set_up(stage)
    else:
        stage.staff = first.staff
        story_shop.add_merchant(stage)
    for step in (
        story_shop.activate,
        story_citizen.log_in,
        story_citizen.register,
        story_citizen.open_wallet,
        story_citizen.enrol_device,
        story_citizen.provision_card,
        story_citizen.top_up,
    ):
        step(stage)
