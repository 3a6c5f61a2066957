"""Cards of a rehearsal: who vouches for them, what they may owe, and the same dice in each run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hce.__main__ import main
from hce.card_file import CardRecord
from hce.purse_disk import PurseFileStore
from hce.purse_keys import TEST_KEYS
from hce.rehearsal import dice_of
from hce.signer import SoftwareSigner

NOW = 1_790_000_000


def test_dice_are_the_same_for_a_seed_and_others_for_another():
    first, again, other = dice_of("a"), dice_of("a"), dice_of("b")
    rolls = [first(4) for _ in range(3)]
    assert rolls == [again(4) for _ in range(3)]
    assert len(set(rolls)) == 3
    assert rolls[0] != other(4)
    assert len(first(32)) == 32
    with pytest.raises(ValueError, match="at most 32"):
        first(33)


def make(tmp_path, *words):
    path = tmp_path / "card"
    return main(["new", "--card", str(path), "--now", str(NOW), *words]), path


def issuer_file(tmp_path, mode=0o600):
    issuer, path = SoftwareSigner.generate(), tmp_path / "issuer.der"
    path.write_bytes(issuer.to_der())
    path.chmod(mode)
    return issuer, path


def test_a_phone_has_the_issuer_and_the_limit_that_were_named(tmp_path):
    issuer, key = issuer_file(tmp_path)
    code, path = make(tmp_path, "--issuer", str(key), "--offline", "300.00")
    record = CardRecord.decode(path.read_bytes())
    certificate = record.state.certificate
    assert (code, record.issuer_public_key) == (0, issuer.public_key)
    assert (certificate.offline_sale_max_fen, certificate.offline_sum_max_fen) == (30_000, 30_000)
    assert certificate.not_before == NOW


def test_without_them_it_owes_nothing(tmp_path):
    _, path = make(tmp_path)
    assert CardRecord.decode(path.read_bytes()).state.certificate.offline_sum_max_fen == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.chmod(0o644), ()),
        (lambda path: path.write_bytes(b"x"), ()),
        (lambda path: path.unlink(), ()),
        (lambda path: None, ("--suite", "sm")),
    ],
    ids=["others may read it", "no key", "not there", "another suite"],
)
def test_an_issuer_that_will_not_do(damage, words, tmp_path, capsys):
    _, key = issuer_file(tmp_path)
    damage(key)
    code, path = make(tmp_path, "--issuer", str(key), *words)
    assert (code, path.exists()) == (2, False)
    assert "issuer.der" in capsys.readouterr().err


def test_a_purse_made_at_a_named_moment_is_the_same(tmp_path):
    _, path = make(tmp_path, "--purse", "--number", "3104999000000000001", "--balance", "5.00")
    with PurseFileStore(path, TEST_KEYS.sealing_key) as store:
        assert store.view().public_body[20:24].hex() == "20260921"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("new", "--card", "x", "--purse", "--offline", "1.00"), "--offline is not for --purse"),
        (("new", "--card", "x", "--balance", "1.00"), "--balance is for --purse"),
        (("plug", "--seed", "a", "--keys", "k"), "--seed is for TEST cards"),
    ],
)
def test_options_that_do_not_go_together(words, reason):
    done = subprocess.run(
        [sys.executable, "-m", "hce", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert reason in done.stderr
