"""Two phones with one phone's keys, and logs that contradict what arrived: caught."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest
from card_world import TRANSACTION, Phone, World, operation
from sqlalchemy import event, func, select

from backend.db import Which
from backend.virtual_card import (
    CARD_NOTICE,
    Card,
    ChangeCard,
    IssuedKeys,
    LoggedTap,
    Reason,
    RefillKeys,
    ReleaseRefused,
    StepUpRequired,
    TokenCloned,
    TokenSuspended,
    VerifiedProof,
    tables,
)
from backend.virtual_card.watch.model import TAPS_KEPT
from card_protocol import tlv
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.mobile_card import (
    MOBILE_CARD_AID,
    Certificate,
    GpoResponse,
    HolderCheck,
    Suite,
)
from card_protocol.mobile_card import sign as sign_es256
from hce.applets.mobile_card import MobileCardApplet
from hce.card import Card as SoftwareCard
from hce.ports import CardView, LimitedUseKey
from hce.state import CardState

SHANGHAI = timezone(timedelta(hours=8))


@dataclass
class CopiedStore:
    """A card's store that can be copied, as a thief copies a phone's disk."""

    state: CardState

    def view(self) -> CardView:
        return self.state.view()

    def take_counter(self) -> tuple[int, LimitedUseKey]:
        self.state = self.state.counted()
        assert self.state.key is not None
        return self.state.atc, self.state.key


def software_card(world: World, phone: Phone, store: CopiedStore) -> SoftwareCard:
    class Signer:
        suite = Suite.AES_ES256

        def sign(self, data: bytes) -> bytes:
            return sign_es256(phone.signing, data)

    applet = MobileCardApplet(
        store, Signer(), holder_check=lambda: HolderCheck.NONE, now=lambda: world.unix
    )
    return SoftwareCard((applet,))


def store_of(phone: Phone, card: Card, keys: IssuedKeys) -> CopiedStore:
    key = LimitedUseKey(
        keys.key_index,
        keys.key_version,
        phone.open(card, keys).limited_use_key,
        keys.uses_max,
        int(keys.not_after.timestamp()),
    )
    return CopiedStore(CardState(Certificate.decode(card.certificate), key=key))


def pdol_at(moment: datetime, amount_fen: int = 1250) -> bytes:
    there = moment.astimezone(SHANGHAI)
    return replace(
        TRANSACTION,
        amount_fen=amount_fen,
        date=bytes.fromhex(there.strftime("%y%m%d")),
        time=bytes.fromhex(there.strftime("%H%M%S")),
    ).encode()


def tap_software(card: SoftwareCard, pdol_data: bytes) -> bytes:
    """One real tap: SELECT, GET PROCESSING OPTIONS; the answer's data."""
    select_card = CommandApdu(0x00, 0xA4, 0x04, 0x00, MOBILE_CARD_AID, 256)
    assert card.transmit(select_card.encode()).endswith(b"\x90\x00")
    options = tlv.Tlv(0x83, pdol_data).encode()
    answer = card.transmit(CommandApdu(0x80, 0xA8, 0x00, 0x00, options, 256).encode())
    return ResponseApdu.decode(answer).data


def arrives(world: World, pdol_data: bytes, answer: bytes) -> VerifiedProof:
    return world.watcher.verify_tap(pdol_data, answer, world.clock.now())


def test_two_phones_with_the_same_copied_keys_are_caught(world: World) -> None:
    """Goal: the second phone's first payment under a used counter stops both."""
    phone, card, keys = world.issued()
    mine = store_of(phone, card, keys)
    copied = CopiedStore(mine.state)
    own, thiefs = software_card(world, phone, mine), software_card(world, phone, copied)
    pdol_data = pdol_at(world.clock.now())
    first = tap_software(own, pdol_data)
    assert arrives(world, pdol_data, first).counter == 1
    theirs = pdol_at(world.clock.now(), amount_fen=99_900)
    forged = tap_software(thiefs, theirs)
    assert GpoResponse.decode(forged).atc == 1
    with pytest.raises(TokenCloned):
        arrives(world, theirs, forged)
    stopped = world.cards.get(world.person_id, card.token_id)
    assert stopped.suspended_for is Reason.COUNTERS_CONFLICT
    for tapped in (own, thiefs):
        with pytest.raises(TokenSuspended):
            arrives(world, pdol_data, tap_software(tapped, pdol_data))
    with pytest.raises(ReleaseRefused):
        world.cards.release(ChangeCard(world.person_id, card.token_id), operation())
    world.deliver()
    assert ["复制" in text for _, _, text in world.sms.sent] == [True]


def test_two_phones_that_count_apart_are_caught_by_time(world: World) -> None:
    """Goal: a thief who counts ahead, so that no counter comes twice, is caught all the same."""
    phone, card, keys = world.issued()
    mine = store_of(phone, card, keys)
    copied = CopiedStore(replace(mine.state, atc=100))
    own, thiefs = software_card(world, phone, mine), software_card(world, phone, copied)
    for tapped in (own, thiefs):
        pdol_data = pdol_at(world.clock.now())
        arrives(world, pdol_data, tap_software(tapped, pdol_data))
        world.clock.advance(timedelta(minutes=3))
    pdol_data = pdol_at(world.clock.now())
    with pytest.raises(TokenCloned):
        arrives(world, pdol_data, tap_software(own, pdol_data))
    assert world.state(card) == "suspended"


def test_a_terminal_that_asks_again_and_late_uploads_are_no_clones(world: World) -> None:
    phone, card, keys = world.issued()
    offline = phone.tap(card, keys, atc=1, pdol_data=pdol_at(world.clock.now()))
    world.clock.advance(timedelta(hours=5))
    online = phone.tap(card, keys, atc=2, pdol_data=pdol_at(world.clock.now()))
    for _ in range(3):
        assert arrives(world, *online).counter == 2
        assert arrives(world, *offline).counter == 1
    world.clock.advance(timedelta(hours=5))
    assert arrives(world, *offline).counter == 1
    ahead = pdol_at(world.clock.now() + timedelta(hours=8))  # a terminal's clock is wrong
    assert arrives(world, *phone.tap(card, keys, atc=3, pdol_data=ahead)).counter == 3
    assert world.state(card) == "active"
    assert world.told(CARD_NOTICE) == []


def test_what_is_kept_of_a_token_has_a_bound(world: World) -> None:
    """Goal: an upload repeated months later neither stops the card nor hides a newer tap."""
    phone, card, keys = world.issued()
    old = phone.tap(card, keys, atc=1, pdol_data=pdol_at(world.clock.now()))
    arrives(world, *old)
    world.clock.advance(timedelta(hours=1))
    moment = world.clock.now()
    new = phone.tap(card, keys, atc=1 + TAPS_KEPT, pdol_data=pdol_at(moment))
    arrives(world, *new)
    arrives(world, *old)
    arrives(world, *new)
    assert arrived(world) == 1
    assert world.state(card) == "active"
    with pytest.raises(TokenCloned):
        arrives(world, *phone.tap(card, keys, atc=1 + TAPS_KEPT, pdol_data=pdol_at(moment, 1)))


def test_a_counter_far_behind_at_an_online_terminal_is_a_clones(world: World) -> None:
    phone, card, keys = world.issued()
    arrives(world, *phone.tap(card, keys, atc=400, pdol_data=pdol_at(world.clock.now())))
    with pytest.raises(TokenCloned):
        arrives(world, *phone.tap(card, keys, atc=199, pdol_data=pdol_at(world.clock.now())))


def test_a_forged_tap_stops_nobodys_card(world: World) -> None:
    phone, card, keys = world.issued()
    arrives(world, *phone.tap(card, keys, atc=7))
    thief = replace(phone, signing=Phone().signing)
    with pytest.raises(Exception, match="signature_invalid"):
        arrives(world, *thief.tap(card, keys, atc=7, pdol_data=pdol_at(world.clock.now(), 1)))
    assert world.state(card) == "active"


def test_noting_a_tap_takes_one_transaction(world: World) -> None:
    """Goal: what the watch costs a sale stays known."""
    phone, card, keys = world.issued()
    arrives(world, *phone.tap(card, keys, atc=1))
    statements: list[str] = []
    engine = world.units.databases[Which.BUSINESS].engine

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    event.listen(engine, "before_cursor_execute", note)
    try:
        world.verifier.verify_tap(*phone.tap(card, keys, atc=2), world.clock.now())
        without = len(statements)
        arrives(world, *phone.tap(card, keys, atc=2))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(statements) - 2 * without <= 6


def arrived(world: World) -> int:
    with world.units.read(Which.BUSINESS) as work:
        return int(work.execute(select(func.count()).select_from(tables.tap)).scalar_one())


# --- refills --------------------------------------------------------------------------------------


def line(answer: bytes) -> LoggedTap:
    tap = GpoResponse.decode(answer)
    return LoggedTap(tap.atc, tap.iad.key_index, tap.cryptogram)


def refill(world: World, card: Card, atc: int, *log: LoggedTap) -> IssuedKeys:
    return world.cards.refill(RefillKeys(world.person_id, card.token_id, atc, log), operation())


def test_an_honest_log_gets_keys(world: World) -> None:
    phone, card, keys = world.issued()
    taps = [phone.tap(card, keys, atc=atc) for atc in (1, 2, 3)]
    for tap in taps[:2]:
        arrives(world, *tap)  # the third is at a terminal that is offline
    lines = [line(answer) for _, answer in taps]
    assert refill(world, card, 3, *lines).key_index == 2
    assert refill(world, card, 3, *lines).key_index == 3  # the answer was lost
    arrives(world, *taps[2])
    assert refill(world, card, 3).key_index == 4
    assert arrived(world) == 3


def test_a_copied_phone_betrays_itself_when_it_asks_for_keys(world: World) -> None:
    """Goal: a copy that only pays offline is caught by its log."""
    phone, card, keys = world.issued()
    mine = store_of(phone, card, keys)
    copied = CopiedStore(mine.state)
    own, thiefs = software_card(world, phone, mine), software_card(world, phone, copied)
    pdol_data = pdol_at(world.clock.now())
    arrives(world, pdol_data, tap_software(own, pdol_data))
    theirs = tap_software(thiefs, pdol_at(world.clock.now(), 500))
    with pytest.raises(TokenSuspended):
        refill(world, card, 1, line(theirs))
    assert world.history(card)[-1].cause.reason is Reason.LOG_CONFLICT
    assert len(world.told(CARD_NOTICE)) == 1
    with pytest.raises(TokenSuspended):
        refill(world, card, 1)
    with pytest.raises(ReleaseRefused):
        world.release(card)
    world.cards.release_by_staff(card.token_id, "stf_1", operation())
    assert world.state(card) == "active"


def test_a_counter_set_back_suspends(world: World) -> None:
    _, card, _ = world.issued()
    refill(world, card, 12, *(LoggedTap(atc, 1, bytes(8)) for atc in range(1, 13)))
    with pytest.raises(TokenSuspended):
        refill(world, card, 11)
    assert world.state(card) == "suspended"


def test_a_counter_behind_what_arrived_suspends_unless_it_just_arrived(world: World) -> None:
    phone, card, keys = world.issued()
    tap = phone.tap(card, keys, atc=1, pdol_data=pdol_at(world.clock.now()))
    arrives(world, *tap)
    assert refill(world, card, 0).key_index == 2  # tapped while the request was on its way
    world.clock.advance(timedelta(minutes=11))
    with pytest.raises(TokenSuspended):
        refill(world, card, 0)


def test_gaps_cost_a_code(world: World) -> None:
    _, card, _ = world.issued()
    with pytest.raises(StepUpRequired) as refused:
        refill(world, card, 4)
    assert refused.value.data["reasons"] == ["gaps"]
    assert world.state(card) == "active"
    world.give_code(refused.value)
    assert refill(world, card, 4).key_index == 2
    world.clock.advance(timedelta(minutes=1))
    with pytest.raises(StepUpRequired):
        refill(world, card, 8)  # a code is used once
