"""A phone card's life over HTTP and on the loopback reader, in either suite, and across a change.

Goal: what phone, terminal and backend say to each other in the SM suite is whole, and a city that
changes its suite leaves nobody's card behind.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend.config import ROOT
from backend.db import METADATA, Which
from backend.kernel import new_id
from backend.virtual_card import ChangeCard
from backend.virtual_card.codes import RegisterVerifier, ReleaseIdentity
from card_protocol.code_keys import load_es256
from card_protocol.mobile_card import Certificate, Suite
from card_protocol.ride_code import RideSuite
from card_protocol.ride_verifier import MemoryUsedCodes, RideCodeVerifier, RideRules
from reader_bridge import Outcome, Receipt, Terminal
from reader_bridge.client_key import load_identity, save_identity
from sdk_mobile import MemoryStorage, Refused, Storage, Wallet
from sdk_mobile.keys import DeviceKeys
from tests.docs.city import BANK_CARD, CITIZEN, City, running_city
from tests.sdk_mobile.test_sm_suite import OldKeystore
from tests.simulation.money_world import operation
from tools.story.reader import LoopbackTill
from tools.story.reader import tap as hold_to

TAP_FEN, TOP_UP_FEN = 150, 10_000
TAPS_A_KEY = 3  # so that a refill is due after a few taps
SECOND_CITIZEN = ("13800000002", "周致远", "999901197509231317")
MERCHANT = tomllib.loads((ROOT / "data/demo/merchants.toml").read_text("utf-8"))["merchants"][0]
references = count(1)


def city_file(folder: Path, suite: Suite) -> Path:
    """The demo city, its phone card in this suite and its keys short-lived."""
    text = (ROOT / "city.toml").read_text("utf-8")
    for before, after in (
        ('carrier = "phone"', f'carrier = "phone"\nsuite = "{suite.name.lower()}"'),
        ("uses_max = 20", f"uses_max = {TAPS_A_KEY}"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    folder.mkdir(exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")
    path = folder / "city.toml"
    path.write_text(text, "utf-8")
    return path


@dataclass
class Town:
    """A running city and its one till."""

    city: City
    terminal: Terminal
    suite: Suite
    till: LoopbackTill = field(default_factory=LoopbackTill)

    def sell(self, phone: Wallet, amount_fen: int = TAP_FEN) -> Receipt:
        reference = f"R{next(references)}"
        return hold_to(self.till, phone.card(), self.terminal, amount_fen, reference)

    def sell_by_code(self, digits: str, amount_fen: int = TAP_FEN) -> Receipt:
        reference = f"R{next(references)}"
        return self.terminal.sell(amount_fen, register_reference=reference, pay_code=digits)

    def code_sent(self, phone: str) -> str:
        found = re.search(r"\b\d{6}\b", self.city.message_to(phone))
        assert found
        return found[0]

    def phone(
        self,
        who: tuple[str, str, str],
        storage: Storage | None = None,
        keys: DeviceKeys | None = None,
    ) -> Wallet:
        """Somebody's further phone: logged in, registered, enrolled, no card yet."""
        number, name, id_number = who
        self.a_minute_passes()
        wallet = Wallet(self.city.public, storage or MemoryStorage(), language="en", keys=keys)
        wallet.request_login_code(number)
        wallet.log_in(number, self.code_sent(number))
        wallet.register(name, id_number)
        wallet.open_wallet()
        wallet.enrol_device("further phone")
        return wallet

    def top_up(self, phone: Wallet) -> None:
        top_up = phone.top_up(TOP_UP_FEN, BANK_CARD)
        self.city.parts.worker.deliver_due()
        assert phone.wait_for_top_up(top_up.topup_id, 10.0).state == "succeeded"

    def a_minute_passes(self) -> None:
        """For log-in codes, of which there is one a minute and phone."""
        rows = METADATA[Which.IDENTITY].tables["login_challenge"]
        with self.city.parts.units.write(Which.IDENTITY) as work:
            asked = work.execute(select(rows.c.challenge_id, rows.c.asked_at)).all()
            for one in asked:
                earlier = one.asked_at - timedelta(seconds=61)
                work.execute(
                    update(rows)
                    .where(rows.c.challenge_id == one.challenge_id)
                    .values(asked_at=earlier)
                )


def activated(city: City, folder: Path) -> Terminal:
    """The town's till: activated once; after a restart it finds the backend at its new port."""
    if folder.exists():
        save_identity(folder, replace(load_identity(folder), url=city.public))
        return Terminal.open(folder)
    terminal_id = MERCHANT["shops"][0]["terminals"][0]["terminal_id"]
    code = city.parts.shops.issue_activation_code(terminal_id).activation_code
    return Terminal.activate(folder, city.public, code)


@contextmanager
def running_town(folder: Path, suite: Suite) -> Iterator[Town]:
    """The same folder again is the same town after a restart."""
    with (
        running_city(folder / "var", city_file(folder, suite)) as city,
        activated(city, folder / "terminal") as terminal,
    ):
        yield Town(city, terminal, suite)


@pytest.fixture(scope="module", params=list(Suite), ids=lambda one: one.name)
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("town"), request.param) as running:
        yield running


@pytest.fixture(scope="module")
def phone(town: Town) -> Iterator[Wallet]:
    with town.city.make_phone(TOP_UP_FEN) as made:
        yield made


def suite_of(wallet: Wallet) -> Suite:
    """As the card's certificate says it."""
    return Certificate.decode(wallet.phone_card().certificate).suite


def require_tap_paid(town: Town, phone: Wallet) -> None:
    before_fen = phone.balance().balance_fen
    require_paid(town.sell(phone), phone, before_fen)


def require_paid(receipt: Receipt, phone: Wallet, before_fen: int) -> None:
    assert receipt.outcome is Outcome.CAPTURED, receipt.refusal
    assert phone.balance().balance_fen == before_fen - TAP_FEN


def test_taps_and_a_refill(town: Town, phone: Wallet) -> None:
    """Goal: paid online tap by tap, beyond the first key's uses."""
    assert suite_of(phone) is town.suite
    told = town.terminal.profile().issuer_keys
    assert {name[0] for name in told} == set(Suite)
    for number in range(1, 2 * TAPS_A_KEY + 1):
        require_tap_paid(town, phone)
        assert phone.refill_keys_if_needed() is (number % TAPS_A_KEY == 0)


def test_a_pay_code(town: Town, phone: Wallet) -> None:
    before_fen = phone.balance().balance_fen
    digits = phone.pay_code().digits
    require_paid(town.sell_by_code(digits), phone, before_fen)
    again = town.sell_by_code(digits)
    assert again.refusal is not None
    assert again.refusal.code == "pay_code_used"


def test_a_ride_and_an_identity_code_are_es256(town: Town, phone: Wallet) -> None:
    codes = town.city.parts.codes
    told = codes.rides.gate_keys()
    rules = RideRules(
        ca_keys={(one.index, told.suite): one.public_key for one in told.ca_keys},
        suites={RideSuite.ES256: load_es256},
        issuers=frozenset({told.issuer_id}),
        account_types=frozenset(told.account_types),
        validity_seconds_max=told.validity_seconds_max,
    )
    assert phone.ride.refresh_if_needed()
    gate = RideCodeVerifier(rules, MemoryUsedCodes(), frozenset())
    now = int(town.city.parts.clock.now().timestamp())
    accepted = gate.verify(phone.ride.show().content, now)
    assert accepted.part.card_number == phone.phone_card().token_number
    register = RegisterVerifier(MERCHANT["merchant_id"], ("library",), ("name",), "stf_1")
    codes.verifiers.register(register, operation())
    phone.identity.refresh_if_needed()
    shown = phone.identity.show("library", ["name"]).content
    wanted = ReleaseIdentity(MERCHANT["merchant_id"], "mcl_1", new_id("idq"), shown)
    assert codes.identities.release(wanted).values == {"name": CITIZEN[1]}


def test_a_loss_report(town: Town, phone: Wallet) -> None:
    """Goal: what the phone could still show is refused at the till, until it is released."""
    card, digits = phone.card(), phone.pay_code().digits
    token_id = phone.phone_card().token_id
    rows = METADATA[Which.BUSINESS].tables["token"]
    owner = select(rows.c.person_id).where(rows.c.token_id == token_id)
    ((person_id,),) = town.city.parts.units.ask(Which.BUSINESS, owner)
    elsewhere = ChangeCard(person_id, token_id)  # the phone itself hears nothing of it
    town.city.parts.cards.report_loss(elsewhere, operation())
    try:
        lost = hold_to(town.till, card, town.terminal, TAP_FEN, f"R{next(references)}")
        for receipt in (lost, town.sell_by_code(digits)):
            assert receipt.refusal is not None
            assert receipt.refusal.code == "token_suspended"
    finally:
        town.city.parts.cards.release(elsewhere, operation())
    require_tap_paid(town, phone)


def test_a_move_to_a_new_phone(town: Town) -> None:
    """Goal: the old phone's card ends when the new one lives, in the city's suite."""
    old = town.phone(SECOND_CITIZEN)
    moved_from = old.provision_card().token_id
    new = town.phone(SECOND_CITIZEN)
    with pytest.raises(Refused) as asked:
        new.move_card(moved_from)
    assert asked.value.code == "step_up_required"
    step_up = str(asked.value.data["step_up_id"])
    new.answer_step_up(step_up, town.code_sent(SECOND_CITIZEN[0]))
    assert new.move_card(moved_from).state == "active"
    assert (suite_of(new), old.refresh_card().state) == (town.suite, "deleted")
    town.top_up(new)
    require_tap_paid(town, new)
    for one in (old, new):
        one.close()


def test_a_city_changes_its_suite(tmp_path: Path) -> None:
    """Goal: a card of before pays and refills as it is; the next one is of the new suite, also on
    a phone that was enrolled when nobody knew of SM2 keys."""
    held, waiting = MemoryStorage(), MemoryStorage()
    with running_town(tmp_path, Suite.AES_ES256) as town:
        old = town.phone(CITIZEN, held)
        old.provision_card()
        town.top_up(old)
        require_tap_paid(town, old)
        town.phone(SECOND_CITIZEN, waiting, OldKeystore(waiting)).close()
        old.close()
    with running_town(tmp_path, Suite.SM4_SM2) as town:
        with Wallet(town.city.public, held, language="en") as old:
            for _ in range(TAPS_A_KEY):
                require_tap_paid(town, old)
                old.refill_keys_if_needed()
            assert suite_of(old) is Suite.AES_ES256
        with Wallet(town.city.public, waiting, language="en") as new:
            assert new.enrol_device("further phone").suites == (1,)
            new.provision_card()
            assert (suite_of(new), new.enrol_device("further phone").suites) == (
                Suite.SM4_SM2,
                (1, 2),
            )
            town.top_up(new)
            require_tap_paid(town, new)
