"""Uploads cut, doubled, reordered, lost or unreadable: each sale is charged once, none is stuck."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from reader_bridge.backend_client import Refused, Unreachable
from reader_bridge.forward import SALES_MAX, Step, StepKind, Uploader
from reader_bridge.forward.uploader import LONE_MAX, STRIKES_MAX
from reader_bridge.journal import EntryState, Journal, SetAside
from tests.reader_bridge.forward.support import AT, BALANCE_FEN, UploadDesk, sell, unreadable

CLEAN = Step(StepKind.ROUND_ENDED)
STEPS_MAX = 3000


def drain(uploader: Uploader) -> list[Step]:
    """Steps until a round ends with nothing left, at most STEPS_MAX."""
    steps = []
    for _ in range(STEPS_MAX):
        steps.append(uploader.step())
        if steps[-1] == CLEAN:
            return steps
    raise AssertionError(f"still not done: {steps[-3:]}")


def numbers(journal: Journal, count: int) -> list[str]:
    return [sell(journal, number) for number in range(count)]


def test_sales_leave_in_order_and_their_answers_are_kept(journal, desk, uploader):
    desk.refused["pay_0001"] = "tac_invalid"
    names = numbers(journal, 3)
    assert [step.kind.value for step in drain(uploader)] == ["answered", "round_ended"]
    assert desk.uploads == [names]
    captured, refused = journal.last_result("R0"), journal.last_result("R1")
    assert captured.state is EntryState.CAPTURED
    assert captured.answer["balance_fen"] == BALANCE_FEN
    assert refused.state is EntryState.REFUSED
    facts = {"code": "tac_invalid", "detail": "否", "retryable": False, "data": {}}
    assert refused.answer == facts
    assert (uploader.captured, uploader.refused, uploader.contradicted) == (2, 1, 0)


def test_a_request_holds_a_hundred_and_no_more_bytes_than_agreed(journal, desk, uploader):
    numbers(journal, 3 * SALES_MAX + 7)
    drain(uploader)
    assert [len(names) for names in desk.uploads] == [100, 100, 100, 7]
    large = {"kind": "purse", "records": ["ab" * 5_000]}
    desk.uploads.clear()
    for number in range(500, 515):
        sell(journal, number, proof=large)
    drain(uploader)  # the desk asserts the size of each
    assert [len(names) for names in desk.uploads] == [5, 5, 5]


@pytest.mark.parametrize("fault", ["first_two", "reversed", "twice", "lose_answer", "nothing"])
def test_an_answer_that_is_cut_reordered_doubled_or_lost_charges_once(
    journal, desk, uploader, fault
):
    names = numbers(journal, 5)
    desk.faults = [fault]
    drain(uploader)
    assert desk.charges == dict.fromkeys(names, 250)
    assert journal.to_upload(9) == ()
    assert uploader.captured == 5


def test_the_same_request_has_the_same_key_until_its_answer_said_nothing(journal, desk, uploader):
    sell(journal, 1)
    lost = Unreachable("no_answer_in_time", sent=True)
    desk.faults = [lost, "nothing"]
    drain(uploader)
    first, second, third = desk.keys
    assert first == second != third


def test_an_answer_cut_short_goes_on_with_the_rest_at_once(journal, desk, uploader):
    names = numbers(journal, 5)
    desk.faults = ["first_two"]
    assert uploader.step() == Step(StepKind.ANSWERED)
    assert uploader.step() == Step(StepKind.ANSWERED)
    assert desk.uploads == [names, names[2:]]


@pytest.mark.parametrize(
    ("fault", "was_sent"),
    [
        (Unreachable("no_connection", sent=False), False),
        (Unreachable("answered_503", sent=True), True),
        (Refused("terminal_suspended", "no", retryable=False, data={}, status=403), True),
    ],
)
def test_no_answer_changes_nothing(journal, desk, uploader, fault, was_sent):
    names = numbers(journal, 3)
    desk.faults = [fault]
    step = uploader.step()
    assert (step.kind, step.was_sent) == (StepKind.FAILED, was_sent)
    assert [entry.draft.entry_id for entry in journal.to_upload(9)] == names
    drain(uploader)
    assert desk.charges == dict.fromkeys(names, 250)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_backend_cannot_read_is_found_by_halving_and_kept_aside(
    journal, desk, uploader, status
):
    names = numbers(journal, 100)
    bad = {"pay_0000", "pay_0041", "pay_0042", "pay_0099"}
    desk.poison = dict.fromkeys(bad, unreadable(status))
    drain(uploader)
    assert set(desk.charges) == set(names) - bad
    assert {entry.draft.entry_id for entry in journal.aside()} == bad
    assert journal.aside()[0].aside == SetAside("malformed", "no")
    assert len(desk.uploads) <= 60


def test_a_lone_sale_that_cannot_be_read_gets_several_chances(journal, desk, uploader):
    sell(journal, 1)
    desk.poison["pay_0001"] = unreadable()
    kinds = [uploader.step().kind for _ in range(2 * STRIKES_MAX)]
    assert kinds.count(StepKind.FAILED) == STRIKES_MAX
    assert [entry.draft.entry_id for entry in journal.aside()] == ["pay_0001"]
    assert uploader.step() == CLEAN


def test_when_nothing_is_read_the_sales_are_not_to_blame(journal, desk, uploader):
    names = numbers(journal, 100)
    desk.poison = dict.fromkeys(names, unreadable())
    assert uploader.step().kind is StepKind.FAILED
    assert len(desk.uploads) <= 4 * LONE_MAX
    assert journal.aside() == ()
    desk.poison.clear()
    drain(uploader)
    assert desk.charges == dict.fromkeys(names, 250)


def test_sales_set_aside_come_back_when_the_backend_has_learnt(journal, desk, uploader):
    numbers(journal, 4)
    desk.poison["pay_0002"] = unreadable()
    drain(uploader)
    assert len(journal.aside()) == 1
    desk.poison.clear()
    assert journal.bring_back() == 1
    drain(uploader)
    assert len(desk.charges) == 4


def test_a_sale_that_breaks_the_backend_does_not_stop_the_others(journal, desk, uploader):
    """A 500 says nothing about its cause: smaller requests go past it, and it stays."""
    numbers(journal, 100)
    desk.poison["pay_0030"] = Unreachable("answered_500", sent=True)
    for _ in range(100):
        uploader.step()
    assert len(desk.charges) == 99
    assert [entry.draft.entry_id for entry in journal.to_upload(9)] == ["pay_0030"]
    assert journal.aside() == ()
    desk.poison.clear()
    drain(uploader)
    assert len(desk.charges) == 100


@pytest.mark.parametrize("others", [0, 3])
def test_a_sale_that_is_never_named_in_an_answer_is_kept_aside_in_the_end(
    journal, desk, uploader, others
):
    """Else it would count as waiting for ever, and its age would stop offline sales."""
    desk.nameless = {"pay_0000"}
    numbers(journal, 1 + others)
    rounds = 0
    while not journal.aside():
        step = uploader.step()
        rounds += step.kind is StepKind.ROUND_ENDED
        assert rounds <= STRIKES_MAX
    assert rounds >= STRIKES_MAX - 2, "several chances"
    assert journal.aside()[0].draft.entry_id == "pay_0000"
    assert len(desk.charges) == others
    assert drain(uploader)


def test_an_empty_list_of_results_is_no_reason_to_give_a_sale_up(journal, desk, uploader):
    sell(journal, 1)
    desk.faults = ["nothing"] * 50
    while desk.faults:
        uploader.step()
    assert journal.aside() == ()
    drain(uploader)
    assert len(desk.charges) == 1


def test_a_body_that_is_no_json_is_kept_aside_without_asking(journal, desk, uploader):
    names = numbers(journal, 2)
    draft = journal.to_upload(1)[0].draft
    other = type(draft)(draft.kind, "pay_x", "Rx", "pay_x", 1, "tap", None)
    journal.accept_new(other, "token:x", lambda counter: b"\xff no json", AT)
    drain(uploader)
    assert set(desk.charges) == set(names)
    assert journal.aside()[0].aside.code == "body_malformed"


def test_a_backend_that_changes_its_word_is_counted_and_the_first_word_stays(
    journal, desk, uploader
):
    sell(journal, 1)
    sell(journal, 2)

    def other_process_was_told() -> None:
        journal.settle("pay_0001", EntryState.REFUSED, {"code": "x"}, AT)

    desk.on_upload = other_process_was_told
    uploader.step()
    assert (uploader.captured, uploader.contradicted) == (1, 1)
    assert journal.last_result("R1").state is EntryState.REFUSED


def test_two_processes_upload_the_same_sales_at_once(journal, desk, path, clock, uploader):
    names = numbers(journal, 10)
    with closing(Journal(path)) as other:
        rival = Uploader(other, desk, clock)
        desk.on_upload = lambda: setattr(desk, "on_upload", lambda: None) or drain(rival)
        drain(uploader)
    assert desk.charges == dict.fromkeys(names, 250)
    assert uploader.captured + rival.captured == 10
    assert uploader.contradicted == rival.contradicted == 0


@pytest.mark.parametrize("seed", range(10))
def test_in_any_weather_each_sale_is_charged_once(journal, desk, uploader, seed):
    """Goal: no order of sales, faults, restarts and poison loses or doubles one."""
    dice = random.Random(seed)
    weather: list[Exception | str | None] = [
        None,
        "first_two",
        "reversed",
        "twice",
        "lose_answer",
        "nothing",
        Unreachable("no_connection", sent=False),
        Unreachable("answered_503", sent=True),
        unreadable(),
    ]
    names = []
    for number in range(150):
        names.append(sell(journal, number))
        if dice.random() < 0.1:
            desk.refused[names[-1]] = "token_stopped"
        if dice.random() < 0.3:
            desk.faults = [dice.choice(weather)]
            uploader.step()
        if dice.random() < 0.05:
            uploader = Uploader(journal, desk, uploader._clock)  # a restart
            journal.bring_back()
    desk.faults.clear()
    journal.bring_back()
    drain(uploader)
    assert set(desk.charges) == set(names) - set(desk.refused)
    assert journal.usage("token:0", AT).count == 0
    for number, name in enumerate(names):
        expected = EntryState.REFUSED if name in desk.refused else EntryState.CAPTURED
        assert journal.last_result(f"R{number}").state is expected


def test_the_desk_is_strict(desk: UploadDesk):
    """The tests above lean on what it asserts."""
    with pytest.raises(AssertionError):
        desk.post("/v1/terminal/offline-sales", b'{"sales":[]}', "k")
