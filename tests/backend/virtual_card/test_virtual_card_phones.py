"""Whole phones (sdk_mobile) against the resources: a life, a move, and two phones on one disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from card_world import VENDOR, World
from flask import Flask
from test_virtual_card_watch import arrives, pdol_at, tap_software

from backend.kernel import ManualClock
from backend.keys import SoftwareKeys
from backend.virtual_card import Reason, TokenCloned
from backend.web import AccessTokens, Caller, CallerKind
from card_protocol.mobile_card import GpoResponse
from sdk_mobile import FileStorage, NotReady, Refused, SandboxPlatform, Storage, Wallet
from sdk_mobile.models import Account
from sdk_mobile.state import Session, StateDocument

FAR = 10**12  # no token of these tests runs out

MakePhone = Callable[..., Wallet]


@pytest.fixture
def make_phone(
    world: World, app: Flask, keys: SoftwareKeys, clock: ManualClock, tmp_path: Path
) -> Iterator[MakePhone]:
    """Phones whose holder has logged in, each on a folder of its own."""
    opened: list[tuple[Wallet, FileStorage]] = []
    tokens = AccessTokens(keys, clock, 86_400)
    token = tokens.issue(Caller(CallerKind.CITIZEN, world.person_id))

    platform = SandboxPlatform(VENDOR.key, clock=lambda: float(world.unix))

    def make(name: str, *, is_attested: bool = True) -> Wallet:
        storage = FileStorage(tmp_path / name)
        _log_in(storage, world, token)
        wallet = Wallet(
            "http://127.0.0.1",
            storage,
            http=httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://127.0.0.1"),
            clock=lambda: float(world.unix),
            attester=platform if is_attested else None,
        )
        opened.append((wallet, storage))
        return wallet

    yield make
    for wallet, storage in opened:
        wallet.close()
        storage.close()


def _log_in(storage: Storage, world: World, token: str) -> None:
    session = Session("ses_1", token, "refresh", FAR)
    account = Account(world.wallet_id, "open", "registered", 0, 0, 0, world.clock.now())
    StateDocument(storage).change(lambda state: replace(state, session=session, account=account))


def with_card(wallet: Wallet) -> Wallet:
    wallet.enrol_device("phone")
    wallet.provision_card()
    return wallet


def pay(world: World, wallet: Wallet, amount_fen: int = 1250) -> tuple[bytes, bytes]:
    pdol_data = pdol_at(world.clock.now(), amount_fen)
    return pdol_data, tap_software(wallet.card(), pdol_data)


def code_of(world: World, refused: Refused) -> str:
    world.deliver()
    (text,) = [text for one, _, text in world.sms.sent if one == refused.data["step_up_id"]]
    return next(word for word in text.split() if word[:6].isdecimal())[:6]


def wrong_code(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def test_a_phone_taps_and_tells_its_log(world: World, make_phone: MakePhone) -> None:
    wallet = with_card(make_phone("one"))
    device_id = wallet.phone_card().device_id
    assert world.devices.get(world.person_id, device_id).facts.model == "sandbox-phone"
    for _ in range(14):
        arrives(world, *pay(world, wallet))
    assert wallet.refill_keys_if_needed() is True
    assert wallet.refill_keys_if_needed() is False
    pay(world, wallet)
    assert arrives(world, *pay(world, wallet)).key_index == 2
    assert [(one.after, one.reason) for one in wallet.card_history()] == [("active", "provisioned")]


def test_two_phones_on_one_copied_disk_are_caught(
    world: World, make_phone: MakePhone, tmp_path: Path
) -> None:
    """Goal: the whole phone is copied, keystore too; its second payment stops both."""
    own = with_card(make_phone("one"))
    arrives(world, *pay(world, own))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copied = make_phone("two")
    assert arrives(world, *pay(world, own)).counter == 2
    theirs = pay(world, copied, 99_900)
    assert GpoResponse.decode(theirs[1]).atc == 2
    with pytest.raises(TokenCloned):
        arrives(world, *theirs)
    for wallet in (own, copied):
        assert wallet.refresh_card().state == "suspended"
        with pytest.raises(NotReady, match="card_suspended"):
            wallet.card()
        with pytest.raises(Refused) as refused:
            wallet.release()
        assert refused.value.code == "release_refused"


def test_a_copied_phone_that_asks_for_keys_is_caught(
    world: World, make_phone: MakePhone, tmp_path: Path
) -> None:
    own = with_card(make_phone("one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copied = make_phone("two")
    for _ in range(14):
        arrives(world, *pay(world, own))
        pay(world, copied, 1)  # offline: nothing of these arrives
    with pytest.raises(Refused) as refused:
        copied.refill_keys_if_needed()
    assert refused.value.code == "token_suspended"
    token_id = own.phone_card().token_id
    card = world.cards.get(world.person_id, token_id)
    assert card.suspended_for is Reason.LOG_CONFLICT


def test_an_unattested_second_phone_needs_a_code(world: World, make_phone: MakePhone) -> None:
    with_card(make_phone("one"))
    second = make_phone("two", is_attested=False)
    second.enrol_device("second")
    with pytest.raises(Refused) as refused:
        second.provision_card()
    assert refused.value.code == "step_up_required"
    step_up_id = str(refused.value.data["step_up_id"])
    code = code_of(world, refused.value)
    with pytest.raises(Refused) as wrong:
        second.answer_step_up(step_up_id, wrong_code(code))
    assert wrong.value.code == "step_up_code_wrong"
    second.answer_step_up(step_up_id, code)
    second.answer_step_up(step_up_id, code)  # the answer was lost: the same request
    assert second.provision_card().state == "active"
    assert arrives(world, *pay(world, second)).counter == 1


def test_a_card_moves_to_a_new_phone(world: World, make_phone: MakePhone) -> None:
    old = with_card(make_phone("one"))
    new = make_phone("two")
    new.enrol_device("new")
    (card,) = new.cards()
    with pytest.raises(Refused) as refused:
        new.move_card(card.token_id)
    assert refused.value.data["reasons"] == ["move"]
    new.answer_step_up(str(refused.value.data["step_up_id"]), code_of(world, refused.value))
    moved = new.move_card(card.token_id)
    assert moved.state == "active"
    assert arrives(world, *pay(world, new)).token_id == moved.token_id
    assert old.refresh_card().state == "deleted"
    assert [one.reason for one in new.card_history()] == ["moved_here", "confirmed"]


def test_a_refill_that_was_never_answered_tells_the_truth_later(
    world: World, make_phone: MakePhone, app: Flask
) -> None:
    """Goal: a request older than the last taps is not sent: it would look like a copy's."""
    wallet = with_card(make_phone("one"))
    for _ in range(14):
        arrives(world, *pay(world, wallet))
    wsgi = app.wsgi_app

    def broken(environ: object, start: object) -> object:
        raise httpx.ReadError("the line is cut")

    app.wsgi_app = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(Exception, match="outcome not known"):
        wallet.refill_keys_if_needed()
    app.wsgi_app = wsgi  # type: ignore[method-assign]
    for _ in range(3):
        arrives(world, *pay(world, wallet))
    world.clock.advance(timedelta(minutes=11))
    assert wallet.resume() == ()
    assert wallet.refill_keys_if_needed() is True
    assert wallet.refresh_card().state == "active"
