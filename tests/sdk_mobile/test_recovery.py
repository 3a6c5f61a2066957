"""Damaged storage: it says so, there is a way out, and the money is where it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sdk_mobile import (
    FileStorage,
    OutcomeUnknown,
    PhoneCard,
    Refused,
    StorageDamaged,
    StorageFailed,
    TopUp,
    Wallet,
)
from sdk_mobile.keys import SoftwareDeviceKeys
from sdk_mobile.recovery import PHONE, RENEWABLE, recover
from sdk_mobile.storage import MemoryStorage
from tests.docs.city import BANK_CARD, CITIZEN
from tests.sdk_mobile.fake_backend import CODE
from tests.sdk_mobile.fake_backend import PHONE as PHONE_NUMBER
from tests.sdk_mobile.fake_server import Fault
from tests.sdk_mobile.hostile import HostileNetwork
from tests.sdk_mobile.real_city import RealCity, phone_of
from tests.sdk_mobile.test_flows import STATIC_CODE
from tests.sdk_mobile.test_hostile_network import always
from tests.sdk_mobile.test_taps import tap

MakeWallet = Callable[..., Wallet]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[FileStorage]:
    opened = FileStorage(tmp_path / "phone")
    yield opened
    opened.close()


def damage(storage: FileStorage, name: str) -> bytes:
    """Half of the file is gone; what is left."""
    path = Path(storage.describe(name))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    return raw[: len(raw) // 2]


def documents(storage: FileStorage) -> set[str]:
    return {path.name for path in Path(storage.describe("state")).parent.glob("*.doc")}


def use_all(wallet: Wallet) -> None:
    wallet.ride.refresh_if_needed()
    wallet.history()
    tap(wallet.card())


def test_nothing_damaged_nothing_done(ready, storage):
    tap(ready.card())
    before = {name: storage.read(name) for name in (*PHONE, *RENEWABLE)}
    done = Wallet.re_enrol(storage)
    assert (done.put_aside, done.must_enrol) == ((), False)
    assert {name: storage.read(name) for name in (*PHONE, *RENEWABLE)} == before


@pytest.mark.parametrize("name", ["history", "card_keys"])
def test_what_the_backend_gives_again_costs_no_new_phone(ready, storage, make_wallet, name):
    ready.history()
    tap(ready.card())
    left = damage(storage, name)
    done = Wallet.re_enrol(storage)
    assert (done.put_aside, done.must_enrol) == ((name,), False)
    assert Path(storage.describe(name)).with_suffix(".damaged").read_bytes() == left
    again = make_wallet(storage)
    again.refill_keys_if_needed()
    assert len(again.history().lines) == 1
    assert tap(again.card()).atc == 2


@pytest.mark.parametrize("name", PHONE)
def test_a_phone_that_lost_a_part_of_itself_begins_anew(ready, storage, make_wallet, name):
    """Goal: never a counter begun again under old keys, never a session without its key."""
    SoftwareDeviceKeys(storage).signing_public_key()
    ready.history()
    tap(ready.card())
    old = SoftwareDeviceKeys(storage).signing_public_key() if "key" not in name else b""
    damage(storage, name)
    done = Wallet.re_enrol(storage)
    assert (done.put_aside, done.must_enrol) == ((name,), True)
    assert documents(storage) <= {"state.doc", "history.doc"}
    again = make_wallet(storage)
    with pytest.raises(Exception, match="no_card"):
        again.pay_code()
    again.request_login_code(PHONE_NUMBER)
    again.log_in(PHONE_NUMBER, CODE)
    again.open_wallet()
    assert again.balance().balance_fen == 20_000
    assert SoftwareDeviceKeys(storage).signing_public_key() != old
    assert Wallet.re_enrol(storage).put_aside == ()


def test_operations_of_money_stay_when_only_keys_are_lost(ready, storage, backend, make_wallet):
    backend.fault = always(Fault.DROP_AFTER)
    with pytest.raises(OutcomeUnknown) as unknown:
        ready.pay_merchant_code(STATIC_CODE, 300)
    with pytest.raises(OutcomeUnknown) as loss:
        ready.report_loss()
    backend.fault = always(None)
    damage(storage, "device_signing_key")
    done = Wallet.re_enrol(storage)
    assert [one.operation_id for one in done.kept] == [unknown.value.operation_id]
    assert done.dropped == (loss.value.operation_id,)
    again = make_wallet(storage)
    again.request_login_code(PHONE_NUMBER)
    again.log_in(PHONE_NUMBER, CODE)
    (outcome,) = again.resume()
    assert outcome.operation_id == unknown.value.operation_id
    assert backend.done[outcome.operation_id] == 1
    assert backend.balance_fen == 19_700


def test_a_way_out_that_cannot_be_written_can_be_taken_later(ready, storage, monkeypatch):
    tap(ready.card())
    damage(storage, "card_counter")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StorageFailed):
            Wallet.re_enrol(storage)
    done = Wallet.re_enrol(storage)
    assert (done.put_aside, done.must_enrol) == (("card_counter",), True)


class Cut(Exception):
    """The process ends here."""


class CutStorage(MemoryStorage):
    """Ends with Cut after so many changes."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 10**9

    def _count(self) -> None:
        if self.left == 0:
            raise Cut
        self.left -= 1

    def write(self, name: str, content: bytes) -> None:
        self._count()
        super().write(name, content)

    def erase(self, name: str) -> None:
        self._count()
        super().erase(name)


@pytest.mark.parametrize("name", ["state", "card_counter", "device_sealing_key"])
def test_a_crash_in_the_middle_of_the_way_out_leaves_no_card_without_its_counter(
    logged_in, storage, make_wallet, name
):
    logged_in.register("张三", "110101199003070000")
    logged_in.open_wallet()
    logged_in.enrol_device("my phone")
    logged_in.provision_card()
    tap(logged_in.card())
    for left in range(12):
        cut = CutStorage()
        for document in (*PHONE, *RENEWABLE):
            content = storage.read(document)
            if content is not None:
                cut.write(document, b"?" if document == name else content)
        cut.left = left
        try:
            recover(cut)
        except Cut:
            has_card = b'"token_number"' in (cut.read("state") or b"")
            assert not (has_card and cut.read("card_counter") is None)
        else:
            return
    pytest.fail("the way out never ended")


# Against the real city


@pytest.mark.parametrize("name", ["state", "card_counter"])
def test_no_money_is_lost_with_the_storage(city, city_clock, storage, name):
    """Goal: a payment and a top-up whose answers were lost with the state are found again, once;
    the card comes to the phone begun anew, and the old one ends."""
    clock, networks = city_clock, list[HostileNetwork]()

    def around(inner: httpx.BaseTransport) -> httpx.BaseTransport:
        networks.append(HostileNetwork(inner, clock, random.Random(1)))
        return networks[-1]

    def pass_time() -> None:
        clock.advance(timedelta(seconds=5))

    wallet = phone_of(city, storage, clock, around=around)
    city.set_up(wallet, 20_000, pass_time)
    old_card = wallet.phone_card().token_id
    tap(wallet.card())
    lost = lose_answers(wallet, city, networks[-1])
    wallet.close()
    damage(storage, name)
    with pytest.raises(StorageDamaged):
        tap(phone_of(city, storage, clock).card())

    done = Wallet.re_enrol(storage)
    assert done.must_enrol
    again = phone_of(city, storage, clock)
    clock.advance(timedelta(minutes=2))  # codes are not sent every second
    city.log_in(again)
    resumed = {outcome.operation_id for outcome in again.resume()}
    assert resumed == (set() if name == "state" else lost)
    again.open_wallet()
    with_code(city, again, lambda: again.enrol_device("the same phone, begun anew"))
    moved = with_code(city, again, lambda: again.move_card(old_card))
    assert isinstance(moved, PhoneCard)
    assert moved.token_id != old_card
    clock.advance(timedelta(minutes=2))
    city.parts.worker.deliver_due()
    lines = dict(city.lines(again))
    assert len(lines) == 3
    assert lost <= set(lines)
    assert again.balance().balance_fen == 20_000 + 110 - 25
    assert {line.reference for line in again.history().lines} >= lost
    assert tap(again.card()).atc == 1
    states = {one.token_id: one.state for one in again.cards()}
    assert states == {old_card: "deleted", moved.token_id: "active"}
    again.close()


def lose_answers(wallet: Wallet, city: RealCity, network: HostileNetwork) -> set[str]:
    """A payment and a top-up are done, and this phone does not hear of it."""
    deliver = network._deliver
    lost = set()

    def unanswered(request: httpx.Request) -> httpx.Response:
        deliver(request)
        raise httpx.ReadTimeout("lost")

    network._deliver = unanswered  # type: ignore[method-assign]
    for ask in (
        lambda: wallet.pay_merchant_code(city.shop_code, 25),
        lambda: wallet.top_up(110, BANK_CARD),
    ):
        with pytest.raises(OutcomeUnknown) as unknown:
            ask()
        lost.add(unknown.value.operation_id)
    return lost


def with_code(city: RealCity, wallet: Wallet, ask: Callable[[], object]) -> object:
    """What the backend lets through with a one-time code."""
    try:
        return ask()
    except Refused as error:
        refusal = error
    assert refusal.code == "step_up_required"
    wallet.answer_step_up(str(refusal.data["step_up_id"]), city.last_code(CITIZEN[0]))
    return ask()


def test_a_kept_top_up_says_how_it_stands(ready, storage, backend, make_wallet):
    top_up = ready.top_up(77_700, BANK_CARD)
    assert not top_up.is_settled
    tap(ready.card())
    damage(storage, "card_counter")
    Wallet.re_enrol(storage)
    (known,) = make_wallet(storage).unsettled_top_ups()
    assert isinstance(known, TopUp)
    assert known.topup_id == top_up.topup_id
