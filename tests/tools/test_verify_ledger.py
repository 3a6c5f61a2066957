"""The checker alone: books made by hand from the document, and then spoilt."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hand_made_export import FILES, NOON, Export, compact, jwk
from hypothesis import given
from hypothesis import strategies as st

from tools.verify_ledger.__main__ import main

ROOT = Path(__file__).resolve().parents[2]

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    def write_and_check(export: Export, *options: str) -> tuple[int, str]:
        code = main([str(export.write(tmp_path / "export")), *options])
        (said,) = capsys.readouterr().out.splitlines()
        return code, said

    return write_and_check


def test_books_made_by_hand_are_right(check: Check) -> None:
    export = Export()
    newest = export.seals[-1]["segment_hash"]
    assert check(export) == (
        0,
        "ledger=ok postings=3 segments=2 unsealed=1 accounts=2 keys=export newest=" + newest,
    )


def test_nothing_posted_and_nothing_sealed_is_right_too(check: Check) -> None:
    export = Export(segments=1)
    assert check(export)[1].startswith("ledger=ok postings=1 segments=0 unsealed=1 ")
    export.postings, export.accounts = [], []
    export.head |= {"accounts": 0, "postings": 0, "unsealed_postings": 0}
    assert check(export)[1].startswith("ledger=ok postings=0 segments=0 unsealed=0 ")


def _set(index: int, value: Any) -> Callable[[Export], object]:
    """Goal: the tail, which no seal guards: the laws alone must find it."""
    return lambda export: export.postings[-1].__setitem__(index, value)


BAD: dict[str, tuple[Callable[[Export], object], str]] = {
    "amount zero": (_set(10, 0), "the amount is not positive"),
    "amount below zero": (_set(10, -100), "the amount is not positive"),
    "amount": (_set(10, 99), "line 3 of bank: the balance should be 299, it is 300"),
    "account unknown": (_set(4, "nobody"), "no such account: nobody"),
    "one account": (_set(7, "bank"), "debit and credit are one account"),
    "entry missing": (_set(5, None), "the debit entry of bank is missing"),
    "line twice": (_set(8, 2), "line 2 of wal_a is there twice"),
    "line gap": (_set(8, 4), "line 3 of wal_a is missing before this one"),
    "line zero": (_set(8, 0), "line 0 of wal_a is there twice"),
    "balance": (_set(9, 301), "line 3 of wal_a: the balance should be 300, it is 301"),
    "operation twice": (_set(2, "top_1"), "the operation is there twice"),
    "leg": (_set(3, 1), "leg 0 is missing"),
    "leg twice": (
        lambda export: export.postings.append(export.postings[-1]),
        "the operation has this leg twice",
    ),
    "order of ids": (
        lambda export: export.postings.append(
            [*export.posting(3)[:2], "a", *export.posting(4)[3:]]
        ),
        'line=4 operation=a leg=0 what="not in the order of ids',
    ),
    "segment over": (_set(1, 2), "not sealed: this line was put in"),
    "segment to come": (_set(1, 4), "not open yet"),
    "stray": (
        lambda export: export.strays.append(
            {"account_id": "wal_a", "line": 9, "operation_id": "x", "leg": 0, "side": "debit"}
            | {"amount_fen": 1, "balance_fen": 1, "posted_at": NOON}
        ),
        "line 9 of wal_a fits no posting",
    ),
    "account twice": (
        lambda export: export.accounts.append(export.accounts[0]),
        "the account is there twice",
    ),
    "floor": (
        lambda export: export.accounts[1].update(floor_fen=150),
        "line 1 of wal_a: the balance 100 is below 150",
    ),
    "sum": (
        lambda export: export.accounts[0].update(debits_pending=5),
        "the accounts' sum is not zero: posted 0, pending 5",
    ),
    "head counts": (lambda export: export.head.update(postings=4), "postings is not that"),
    "head newest": (
        lambda export: export.head["newest_segment"].update(segment_hash="00" * 32),
        "newest_segment is not that of the files",
    ),
    "head open": (lambda export: export.head.update(open_segment=2), "not open yet"),
}


def test_a_head_whose_open_segment_is_sealed_is_no_head(check: Check) -> None:
    export = Export()
    export.postings.pop()
    for row, side in zip(export.accounts, ("debits_posted", "credits_posted"), strict=True):
        row.update({"lines": 2, side: 200})
    export.head |= {"postings": 2, "unsealed_postings": 0}
    assert check(export)[0] == 0
    export.head["open_segment"] = 2
    code, said = check(export)
    assert (code, "the open segment 2 is sealed already" in said) == (1, True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"kty": "RSA"}, "a key is not on P-256"),
        ({"crv": "P-384"}, "a key is not on P-256"),
        ({"x": "A" * 43}, "a key is not a point of P-256"),
        ({"x": "A"}, "a key is not a point of P-256"),
        ({"y": 5}, "a key is not a point of P-256"),
        ({"kid": "x"}, "a key is not named by its thumbprint"),
    ],
)
def test_what_is_no_key_is_told(
    check: Check, tmp_path: Path, change: dict[str, Any], what: str
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**jwk(), **change}))
    code, said = check(Export(), "--key", str(path))
    assert (code, said) == (2, f'ledger=unreadable what="{what}"')


@pytest.mark.parametrize("name", BAD)
def test_each_law_is_kept_where_no_seal_guards(check: Check, name: str) -> None:
    spoil, what = BAD[name]
    export = Export()
    spoil(export)
    code, said = check(export)
    assert code == 1
    assert said.startswith("ledger=bad file=")
    assert what in said


def test_lines_of_an_account_may_come_in_any_order_inside_a_segment(check: Check) -> None:
    """Goal: postings stand in the order of ids, accounts' lines in the order of posting."""
    export = Export()
    tail = [export.posting(number) for number in (6, 5, 4, 3)]  # posted last, named first
    for name, posting in zip("abcd", tail, strict=True):
        posting[1], posting[2] = 3, name
    export.postings[-1:] = tail
    for row in export.accounts:
        row["lines"] = 6
        row["debits_posted"], row["credits_posted"] = 2 * row["debits_posted"], 0
    export.accounts[1].update(debits_posted=0, credits_posted=600)
    export.head |= {"postings": 6, "unsealed_postings": 4}
    assert check(export)[0] == 0
    tail[1][9] += 1
    code, said = check(export)
    assert (code, "file=postings.jsonl line=4 operation=b leg=0" in said) == (1, True)


def test_a_kept_head_must_be_in_the_chain(check: Check, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(Export().head, indent=2))
    assert check(Export(segments=5), "--head", str(kept))[0] == 0
    code, said = check(Export(segments=2), "--head", str(kept))
    assert (code, "the chain is cut: segment 2 " in said) == (1, True)
    other = Export()
    other.seals.clear()
    other.postings[1][13] = "another memo"
    for number in (1, 2):
        other.seal(number)
    other.head["newest_segment"]["segment_hash"] = other.seals[-1]["segment_hash"]
    assert check(other)[0] == 0
    code, said = check(other, "--head", str(kept))
    assert code == 1
    assert "file=segments.jsonl line=2 segment=2" in said
    assert "history was written anew" in said


def test_keys_may_be_given(check: Check, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    mine.write_text(json.dumps(jwk()))
    other.write_text(json.dumps(jwk(ec.generate_private_key(ec.SECP256R1()))))
    assert "keys=given" in check(Export(), "--key", str(mine))[1]
    assert check(Export(), "--key", str(other), "--key", str(mine))[0] == 0
    code, said = check(Export(), "--key", str(other))
    assert (code, "signed by a key that is not trusted" in said) == (1, True)


MALFORMED: dict[str, tuple[str, bytes | None]] = {
    "file missing": ("strays.jsonl", None),
    "not JSON": ("postings.jsonl", b"[1\n"),
    "not UTF-8": ("postings.jsonl", b'["\xff"]\n'),
    "no newline at the end": ("postings.jsonl", b"[]"),
    "too long": ("postings.jsonl", b"[" + b" " * 10_000 + b"]\n"),
    "deep": ("postings.jsonl", b"[" * 8_000 + b"\n"),
    "another form": (
        "postings.jsonl",
        compact(["posting/2", *Export().posting(1)[1:]]).encode() + b"\n",
    ),
    "half a surrogate in a posting": (
        "postings.jsonl",
        compact(Export().posting(1)).replace("top_1", "\\ud800").encode() + b"\n",
    ),
    "half a surrogate": ("head.json", b'{"\\ud800":1}\n'),
    "a name twice": ("head.json", b'{"form":1,"form":2}\n'),
    "a list": ("accounts.jsonl", b"[]\n"),
    "a digit too many": ("accounts.jsonl", b"9" * 5_000 + b"\n"),
    "empty line": ("segments.jsonl", b"\n"),
    "head empty": ("head.json", b""),
}
VALUES: list[Any] = [1.0, 1e309, float("nan"), True, "1", None, [], {}, 2**63, -(2**63)]


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_export_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = Export().write(tmp_path / "export")
    file, content = MALFORMED[name]
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    assert main([str(folder)]) == 2
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(f'ledger=unreadable what="{file}')


@pytest.mark.parametrize("field", [1, 3, 5, 6, 8, 9, 10])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_numbers_are_whole_numbers(check: Check, field: int, value: Any) -> None:
    export = Export()
    export.postings[-1][field] = value
    code, said = check(export)
    may_miss = value is None and field in (5, 6, 8, 9)  # a missing entry is a broken law
    assert code == (1 if may_miss else 2), said


@given(data=st.data())
def test_no_bytes_bring_it_down(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Goal: whatever one file is cut, doubled or overwritten to, the verdict is 1 or 2 or right."""
    folder = Export().write(tmp_path_factory.mktemp("mutated"))
    path = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    if not content:
        content = bytearray(b"{}\n")
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 8))
    content[at : at + length] = data.draw(st.binary(max_size=8))
    path.write_bytes(bytes(content))
    assert main([str(folder)]) in (0, 1, 2)


@given(data=st.data())
def test_no_byte_of_what_is_sealed_can_change(tmp_path_factory: Any, data: st.DataObject) -> None:
    folder = Export().write(tmp_path_factory.mktemp("flipped"))
    path = folder / "postings.jsonl"
    content = bytearray(path.read_bytes())
    sealed = content.rindex(b'["posting/1"')
    at = data.draw(st.integers(0, sealed - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    assert main([str(folder)]) in (1, 2)


def test_it_stands_alone(tmp_path: Path) -> None:
    """Goal: an outsider runs it with nothing of the city but the export."""
    folder = Export().write(tmp_path / "export")
    code = (
        "import sys; from tools.verify_ledger.__main__ import main; code = main(sys.argv[1:]);"
        "ours = {'backend', 'card_protocol', 'sqlalchemy', 'hce', 'sdk_mobile', 'reader_bridge'};"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & ours)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said, ours = done.stdout.splitlines()
    assert (done.returncode, done.stderr, ours) == (0, "", "[]")
    assert said.startswith("ledger=ok ")
