"""Answers that get lost, processes that die: found again, and charged once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from reader_bridge import Outcome, Refused, Terminal, Unreachable
from reader_bridge.delivery import RESEND_SECONDS
from reader_bridge.journal import EntryState
from reader_bridge.readers.loopback import LoopbackReader
from tests.reader_bridge.support import ACTIVATION_CODE, NOW, PAY_CODE

ROOT = Path(__file__).resolve().parents[2]
PAY = "/v1/terminal/payments"

LOST = {
    "answer lost once: tried again with the same key": (["lose_answer"], [PAY] * 2, 0),
    "request lost once": (["lose_request"], [PAY] * 2, 0),
    "busy, then done": (["running", "broken"], [PAY] * 3, 0),
    "nonsense is no answer": (["nonsense"], [PAY] * 2, 0),
    "answers lost three times: asked by id": (["lose_answer"] * 3, [PAY] * 3, 1),
    "requests lost three times: asked, sent again": (["lose_request"] * 3, [PAY] * 4, 1),
    "first lost, then locked out: asked by id": (["lose_answer", "locked_out"], [PAY] * 2, 1),
}


@pytest.mark.parametrize(("script", "posts", "asked"), LOST.values(), ids=LOST.keys())
def test_a_lost_answer_is_found_again_and_charged_once(terminal, backend, script, posts, asked):
    reader = LoopbackReader(backend.kit.card().transmit)
    backend.script = list(script)
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.is_paid
    assert backend.charges() == [1250]
    assert backend.paths() == posts
    assert len(backend.paths("GET")) == asked
    sent = {(body, key) for verb, _, body, key in backend.requests if verb == "POST"}
    assert len(sent) == 1, "every try carries the same bytes under the same key"


def test_a_refusal_behind_a_lost_answer_is_still_the_first_refusal(terminal, backend, reader):
    backend.script = ["lose_answer"] * 3
    receipt = terminal.sell(99_999, register_reference="R1", reader=reader)
    assert receipt.refusal.code == "insufficient_funds"
    assert backend.charges() == []


def unknown_sale(terminal, backend, reader, word="lose_answer"):
    backend.script = [word] * 20
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.outcome is Outcome.UNKNOWN
    assert "结果未知" in receipt.text()
    backend.script = []
    backend.requests.clear()


def test_unknown_is_a_state_and_ask_again_resolves_it(terminal, backend, reader):
    unknown_sale(terminal, backend, reader)
    assert terminal.sell(1250, register_reference="R1", reader=reader).is_paid
    again = terminal.ask_again("R1")
    assert again.is_paid
    assert backend.paths() == []
    assert len(backend.paths("GET")) == 1, "what is known is not asked"
    assert backend.charges() == [1250]


def test_a_sale_the_backend_never_saw_is_sent_while_fresh(terminal, backend, reader, test_time):
    unknown_sale(terminal, backend, reader, "lose_request")
    assert test_time.unix_seconds - NOW < RESEND_SECONDS
    assert terminal.ask_again("R1").is_paid
    assert backend.charges() == [1250]


def test_an_old_sale_the_backend_never_saw_is_reversed_and_cannot_come_late(
    terminal, backend, reader, test_time
):
    unknown_sale(terminal, backend, reader, "lose_request")
    (entry,) = terminal.journal.pending()
    test_time.forward(RESEND_SECONDS + 1)
    receipt = terminal.ask_again("R1")
    assert receipt.outcome is Outcome.REVERSED
    assert backend.charges() == []
    with pytest.raises(Refused, match="payment_reversed"):
        terminal.client.post(PAY, entry.body, entry.draft.entry_id)
    assert terminal.sell(1250, register_reference="R1", reader=reader).outcome is Outcome.REVERSED


def test_an_old_sale_the_backend_did_see_stays_paid(terminal, backend, reader, test_time):
    unknown_sale(terminal, backend, reader)
    test_time.forward(10 * RESEND_SECONDS)
    assert terminal.ask_again("R1").is_paid


def test_an_answer_about_another_sale_is_no_answer(terminal, backend, reader):
    other = backend.add_payment("pay_other", 1250, "tap")
    backend._pay = lambda body: (201, other)
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.outcome is Outcome.UNKNOWN
    assert terminal.journal.pending()[0].state is EntryState.STORED


def test_locked_out_says_nothing_about_an_earlier_sending(terminal, backend, reader):
    unknown_sale(terminal, backend, reader, "lose_request")
    backend.script = ["ok", "locked_out"]
    assert terminal.ask_again("R1").outcome is Outcome.UNKNOWN
    assert terminal.ask_again("R1").is_paid


def test_a_first_sending_that_is_locked_out_is_a_plain_refusal(terminal, backend, reader):
    backend.script = ["locked_out"]
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.refusal.code == "terminal_suspended"


def unplug(terminal: Terminal) -> None:
    """From here on nobody listens where the backend was."""
    terminal.client._http.close()
    terminal.client._http = httpx.Client(base_url="http://127.0.0.1:9", trust_env=False)


def test_with_no_backend_before_the_card_nothing_is_stored(terminal, backend, reader, test_time):
    test_time.forward(100_000)  # the token is too old: a login is needed
    unplug(terminal)
    with pytest.raises(Unreachable):
        terminal.sell(1250, register_reference="R1", reader=reader)
    assert terminal.journal.pending() == ()


def test_a_request_that_never_left_is_known_not_to_be_charged(terminal, backend, reader):
    terminal.client.ensure_session()
    unplug(terminal)
    receipt = terminal.sell(1250, register_reference="R1", reader=reader)
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.refusal.code == "backend_unreachable"
    assert terminal.journal.pending() == ()


def test_restart_finds_open_sales_and_settles_each(terminal, backend, reader, folder, test_time):
    unknown_sale(terminal, backend, reader)
    terminal.close()
    with Terminal.open(folder, clock=test_time.clock()) as restarted:
        (receipt,) = restarted.recover()
        assert receipt.is_paid
        assert restarted.recover() == ()
    assert backend.charges() == [1250]


def test_kill_9_between_storing_and_sending_charges_once(backend, folder, kit, test_time):
    """The process dies with the sale on the disk; the next one brings it home."""
    Terminal.activate(folder, backend.url, ACTIVATION_CODE, clock=test_time.clock()).close()
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from reader_bridge.clock import Clock
        from reader_bridge.delivery import Delivery
        from reader_bridge.terminal import Terminal

        moment = sys.argv[2]
        post = Delivery._post

        def killed(self, entry):
            if moment == "after":
                post(self, entry)
            os.kill(os.getpid(), signal.SIGKILL)

        Delivery._post = killed
        clock = Clock(unix_now=lambda: float(sys.argv[4]))
        with Terminal.open(Path(sys.argv[1]), clock=clock) as t:
            t.sell(1250, register_reference=moment, pay_code=sys.argv[3])
        """
    )
    for moment in ("before", "after"):
        child = subprocess.run(
            [sys.executable, "-c", program, str(folder), moment, PAY_CODE, str(NOW)],
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=30,
        )
        assert child.returncode == -signal.SIGKILL
    with Terminal.open(folder, clock=test_time.clock()) as terminal:
        assert [receipt.outcome for receipt in terminal.recover()] == [Outcome.CAPTURED] * 2
        assert terminal.sell(1250, register_reference="before", pay_code=PAY_CODE).is_paid
    assert backend.charges() == [1250, 1250]


def test_a_lost_refund_answer_is_asked_for_with_the_same_request(terminal, backend, reader):
    terminal.sell(1250, register_reference="R1", reader=reader)
    backend.script = ["lose_answer"] * 20
    assert terminal.refund("R1", 250, refund_reference="F1").outcome is Outcome.UNKNOWN
    backend.script = []
    (receipt,) = terminal.recover()
    assert receipt.outcome is Outcome.POSTED
    assert backend.balance_fen == 20_000 - 1000
