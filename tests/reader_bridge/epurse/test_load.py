"""Loads (圈存): byte by byte, torn anywhere, and what the host is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import pytest

from card_protocol.epurse.suites import DES3, PurseSuite
from card_protocol.epurse.transactions import Load, load_session_key
from card_protocol.errors import MalformedBytes
from hce.applets.epurse.state import Rules
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault
from reader_bridge.kernels import epurse
from reader_bridge.kernels.epurse import (
    LoadAuthorisation,
    LoadIntent,
    LoadLost,
    LoadRequest,
    NotWritten,
    OtherCard,
    PurseLoad,
    Terms,
    TornLoad,
)
from tests.hce.epurse_bench import MONEY_KEY, PIN, SUITES, TAC_KEY, TERMINAL, fixed_random, purse
from tests.reader_bridge.epurse.examples import ISSUER, Cut, Scene, dated, torn

HOST_MOMENT = bytes.fromhex("20111221214822")
TERMS = Terms(HOST_MOMENT, frozenset({ISSUER}))
AMOUNT_FEN = 0x1000
LOAD_APDUS = 7
RECOVERY_APDUS = 4


class NoMoney(Exception):
    """What a host may raise."""


@dataclass
class Host:
    """The issuer: checks MACs and keeps the account of what it has given."""

    suite: PurseSuite = DES3
    has_money: bool = True
    begun: list[LoadRequest] = field(default_factory=list)
    on_card: dict[tuple[str, int], int] = field(default_factory=dict)
    back: dict[tuple[str, int], int] = field(default_factory=dict)
    unproved: list[LoadIntent] = field(default_factory=list)

    def _key(self, request: LoadRequest) -> bytes:
        return load_session_key(self.suite, MONEY_KEY, request.random, request.load_counter)

    def _require_genuine(self, request: LoadRequest) -> None:
        wanted = Load(request.amount_fen, request.terminal_number)
        mac1 = wanted.mac1(self.suite, self._key(request), request.balance_before_fen)
        assert mac1 == request.mac1

    def begin(self, request: LoadRequest) -> LoadAuthorisation:
        self._require_genuine(request)
        if not self.has_money:
            raise NoMoney
        self.begun.append(request)
        load = Load(request.amount_fen, request.terminal_number, HOST_MOMENT)
        return LoadAuthorisation(load.mac2(self.suite, self._key(request)), HOST_MOMENT)

    def written(self, load: PurseLoad) -> None:
        request = load.intent.request
        wanted = Load(request.amount_fen, request.terminal_number, HOST_MOMENT)
        tac = wanted.tac(self.suite, TAC_KEY, load.balance_after_fen, request.load_counter)
        assert tac == load.tac
        self.on_card[request.purse_number, request.load_counter] = request.amount_fen

    def returned(self, intent: LoadIntent, evidence: LoadRequest | None) -> None:
        request = intent.request
        if evidence is None:
            self.unproved.append(intent)
            return
        self._require_genuine(evidence)
        assert evidence.load_counter == request.load_counter
        self.back[request.purse_number, request.load_counter] = request.amount_fen


@dataclass
class Post(Scene):
    """A loading post: the scene of a purchase with the host in the SAM's place."""

    host: Host = field(default_factory=Host)
    intents: list[LoadIntent] = field(default_factory=list)

    def load(self, exchange: Exchange | None = None, **options: object) -> PurseLoad:
        exchange = exchange or self.present()
        facts = self.read(exchange)
        wanted = {
            "amount_fen": AMOUNT_FEN,
            "before_credit": self.intents.append,
            "terminal_number": TERMINAL,
            "key_index": 1,
        }
        return epurse.load(exchange, self.host, facts, TERMS, **(wanted | options))

    def finish(self, exchange: Exchange | None = None, **options: bytes):
        intent = LoadIntent.decode(self.intents[-1].encode())  # as after a restart
        return epurse.recover_load(exchange or self.present(), self.host, intent, **options)


def post(suite: PurseSuite = DES3, **changes: object) -> Post:
    state = dated(purse(suite, **({"balance_fen": 0} | changes)))
    return Post(suite, state=state, host=Host(suite))


@pytest.fixture(params=SUITES)
def suite(request):
    return SUITES[request.param]


@pytest.mark.parametrize(
    ("name", "mac1", "mac2", "tac"),
    [("3des", "A5638AA0", "FDD12AF1", "422E9358"), ("sm4", "AE274668", "F83FF331", None)],
)
def test_transcript_of_the_examples_load(name, mac1, mac2, tac):
    """Goal: INITIALIZE, CREDIT and TAC are the vectors', byte for byte."""
    scene = post(SUITES[name])
    scene.random_bytes = fixed_random
    done = scene.load()
    algorithm = f"{scene.suite.algorithm:02X}"
    assert scene.lines[-2:] == [
        (
            "805000020B010000100000112233445510",
            f"00000000000001{algorithm}11223344{mac1}9000",
        ),
        (f"805200000B20111221214822{mac2}04", f"{done.tac.hex().upper()}9000"),
    ]
    assert tac is None or done.tac.hex().upper() == tac
    assert done.balance_after_fen == scene.balance_fen == AMOUNT_FEN
    assert scene.host.on_card == {("03105170070104791381", 0): AMOUNT_FEN}


def test_torn_at_every_apdu(suite):
    """Goal: the money is on the card or back, never both, never neither."""
    for at, is_done in product(range(LOAD_APDUS), (False, True)):
        scene = post(suite)
        cut = Cut(at, is_done)
        fault = torn(lambda scene=scene, cut=cut: scene.load(scene.present(cut)))
        assert fault is not None
        is_credit_torn = at == LOAD_APDUS - 1
        assert isinstance(fault, TornLoad) is is_credit_torn
        assert scene.balance_fen == (AMOUNT_FEN if is_credit_torn and is_done else 0)
        assert len(scene.host.begun) == int(is_credit_torn)
        if not is_credit_torn:
            continue
        outcome = scene.finish()
        assert isinstance(outcome, PurseLoad if is_done else NotWritten)
        assert sum(scene.host.on_card.values()) == scene.balance_fen
        assert sum(scene.host.back.values()) == AMOUNT_FEN - scene.balance_fen


@pytest.mark.parametrize("is_done", [False, True])
def test_recovery_may_itself_be_torn(is_done):
    for at, is_worked in product(range(RECOVERY_APDUS), (False, True)):
        scene = post()
        assert torn(lambda scene=scene: scene.load(scene.present(Cut(6, is_done)))) is not None
        with_cut = scene.present(Cut(at, is_worked))
        if torn(lambda scene=scene, shown=with_cut: scene.finish(shown)) is not None:
            assert isinstance(scene.finish(), PurseLoad if is_done else NotWritten)
        assert sum(scene.host.on_card.values()) == scene.balance_fen
        assert sum(scene.host.back.values()) == AMOUNT_FEN - scene.balance_fen


def test_a_full_purse_proves_its_load():
    """With the money on it the card would refuse the same INITIALIZE: the proof is asked first."""
    scene = post(rules=Rules(balance_max_fen=AMOUNT_FEN + 10))
    assert torn(lambda: scene.load(scene.present(Cut(6, True)))) is not None
    assert isinstance(scene.finish(), PurseLoad)
    assert scene.balance_fen == AMOUNT_FEN


def test_a_purse_that_loaded_again_is_lost():
    scene = post(rules=Rules(balance_max_fen=100_000))
    assert torn(lambda: scene.load(scene.present(Cut(6, True)))) is not None
    first = scene.intents[-1]
    scene.load()
    scene.intents.append(first)
    lost = scene.finish()
    assert isinstance(lost, LoadLost)
    assert lost.counter == 2
    assert scene.host.back == {}


def test_another_card_at_the_post():
    scene, other = post(), post()
    assert torn(lambda: scene.load(scene.present(Cut(6, True)))) is not None
    other.store.commit(dated(purse(), serial=bytes(10)))
    other.intents = scene.intents
    assert isinstance(other.finish(), OtherCard)


def test_a_host_without_money():
    scene = post()
    scene.host.has_money = False
    with pytest.raises(NoMoney):
        scene.load()
    assert not any(command.startswith("8052") for command, _ in scene.lines)
    assert scene.balance_fen == 0


def test_credit_waits_until_the_intent_is_kept():
    class DiskFull(Exception):
        pass

    def refuse(_: LoadIntent) -> None:
        raise DiskFull

    scene = post()
    with pytest.raises(DiskFull):
        scene.load(before_credit=refuse)
    assert not any(command.startswith("8052") for command, _ in scene.lines)


def test_a_false_host():
    """Goal: a MAC2 that is not the issuer's puts nothing on the card, and the host hears of it."""
    scene = post()
    genuine = scene.host.begin
    scene.host.begin = lambda request: replace(genuine(request), mac2=bytes(4))  # type: ignore[method-assign]
    with pytest.raises(CardFault, match="load_refused_by_card"):
        scene.load()
    assert scene.balance_fen == 0
    assert scene.host.back == {("03105170070104791381", 0): AMOUNT_FEN}
    assert scene.host.unproved == []
    with pytest.raises(CardFault, match="load_refused_by_card"):
        scene.load(scene.present(Cut(7, False)))  # gone before it could prove it
    assert scene.host.unproved == scene.intents[1:]


@pytest.mark.parametrize("word", ["6F00", "6581", "9000", "0102"])
def test_an_answer_to_credit_that_tells_nothing(word):
    scene = post()
    garbled = scene.present(
        alter=lambda command, answer: bytes.fromhex(word) if command[1] == 0x52 else answer
    )
    with pytest.raises(TornLoad):
        scene.load(garbled)
    assert isinstance(scene.finish(), PurseLoad)
    assert scene.balance_fen == AMOUNT_FEN


def test_a_card_that_wants_its_pin():
    rules = Rules(load_needs_pin=True)
    scene = post(rules=rules)
    with pytest.raises(CardFault, match="purse_pin_required"):
        scene.load()
    with pytest.raises(CardFault, match="purse_pin_wrong"):
        scene.load(pin=bytes.fromhex("999999"))
    assert scene.load(pin=PIN).balance_after_fen == AMOUNT_FEN
    assert torn(lambda: scene.load(scene.present(Cut(7, False)), pin=PIN)) is not None
    with pytest.raises(CardFault, match="purse_pin_required"):
        scene.finish()
    assert isinstance(scene.finish(pin=PIN), NotWritten)


def test_more_than_the_purse_may_hold():
    scene = post(rules=Rules(balance_max_fen=AMOUNT_FEN - 1))
    with pytest.raises(CardFault, match="card_declined"):
        scene.load()
    assert scene.host.begun == []


@pytest.mark.parametrize("amount_fen", [0, -5, 1 << 31])
def test_amounts_that_are_none(amount_fen):
    with pytest.raises(ValueError, match="amount"):
        post().load(amount_fen=amount_fen)


def test_words_for_the_holder():
    scene = post()
    with pytest.raises(ReaderFault, match="credit_unknown") as caught:
        scene.load(scene.present(Cut(6, True)))
    assert "同一张卡" in caught.value.text("zh-CN")


def test_an_intent_comes_back_whole(suite):
    scene = post(suite)
    scene.load()
    (intent,) = scene.intents
    body = intent.encode()
    assert LoadIntent.decode(body) == intent
    for cut in (*range(len(body)), len(body) + 1):
        with pytest.raises(MalformedBytes, match="purse_load_malformed"):
            LoadIntent.decode((body + b"\0")[:cut])
    with pytest.raises(MalformedBytes):
        LoadIntent.decode(b"\x02" + body[1:])
    with pytest.raises(MalformedBytes):
        replace(intent.request, load_counter=0x10000)
