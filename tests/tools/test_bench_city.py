"""The city that is loaded: its books balance before, its requests are payments, ids are ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.app import create_public_app, open_parts
from backend.config import load_config
from backend.kernel import check_id
from tools.benches import subjects
from tools.benches.city import PATH, WALLET_FEN, City, Payments, Repeated, make_city
from tools.benches.errors import BenchFailed
from tools.benches.http_subjects import Till
from tools.benches.ids import IDS_PER_MILLISECOND, make_ids
from tools.benches.sqlite_raw import RawLoop

CITIZENS, SHOPS = 3, 2


def parse(request: bytes) -> tuple[dict[str, str], bytes]:
    """Header fields and body, as a server reads them."""
    head, _, rest = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == f"POST {PATH} HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines)
    assert int(fields["Content-Length"]) == len(rest)
    return fields, rest


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return make_city(tmp_path_factory.mktemp("bench") / "var", {}, CITIZENS, SHOPS)


def test_requests_pay_and_are_found_and_a_repeat_pays_nothing(city: City) -> None:
    """Goal: what the bench sends is what the API takes, and each payment is found once."""
    requests = Payments(city, city.codes, 6)
    parts = open_parts(load_config({"CITY_VAR": str(city.var)}))
    before = parts.proof.prove()
    assert before.balanced
    assert before.owed_fen == before.channel_receivable_fen == CITIZENS * WALLET_FEN
    client = create_public_app(parts).test_client()
    till = Till(city)
    repeated = Repeated(requests, range(6))
    assert len(repeated) == len(requests) == 6
    for source, is_replayed in ((requests, False), (repeated, True)):
        for number in range(6):
            fields, body = parse(source[number])
            answer = client.post(PATH, data=body, headers=fields)
            assert answer.status_code == 201, answer.text
            assert ("Idempotent-Replayed" in answer.headers) is is_replayed
        till.paid = 6
        till.check()
    parts.databases.close()
    assert subjects.count_payments(city.ledger_url, requests.ids) == 6
    assert subjects.count_operations(city.ledger_url, [*requests.ids, "pay_unknown"]) == 6
    till.paid = 7
    with pytest.raises(BenchFailed, match="7 fen acknowledged, merchants are owed 6"):
        till.check()


def test_citizens_and_shops_take_turns(city: City) -> None:
    requests = Payments(city, city.codes, 7)
    bodies = [json.loads(parse(requests[number])[1]) for number in range(7)]
    wallets = [one.wallet_id for one in city.citizens]
    assert [one["wallet_id"] for one in bodies] == [*wallets, *wallets, wallets[0]]
    assert [one["merchant_code"] for one in bodies[:4]] == [*city.codes, *city.codes]
    assert [one["payment_id"] for one in bodies] == requests.ids
    keys = [parse(requests[number])[0]["Idempotency-Key"] for number in range(7)]
    assert keys == requests.ids


def test_a_citizen_does_not_show_the_token(city: City) -> None:
    assert city.citizens[0].token not in repr(city)


def test_ids_are_typeids_all_different_and_in_order_of_time() -> None:
    ids = make_ids("pay", 1000, now_ms=1_795_000_000_000)
    assert [check_id(one, "pay") for one in ids] == ids
    assert len(set(ids)) == 1000
    moments = [one[4:14] for one in ids]  # the first ten characters hold the milliseconds
    assert moments == sorted(moments)
    assert len(set(moments)) == 1000 // IDS_PER_MILLISECOND


def test_the_raw_loop_counts_what_it_committed(tmp_path: Path) -> None:
    raw = RawLoop(tmp_path / "raw.db")
    raw.prepare()
    first, second = raw.run(0.05), raw.run(0.05)
    for one in (first, second):
        assert one.acknowledged == one.found > 0
        assert not one.refused
        assert one.times is not None
