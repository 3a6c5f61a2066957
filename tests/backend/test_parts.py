"""Goal: keys and databases belong together; a process that finds only one of them stays down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backend.app import VarDamaged, open_parts
from backend.config import load_config
from backend.db import Which
from tests.support import postgres


@pytest.mark.postgres
def test_no_new_keys_are_made_beside_a_used_postgresql(
    postgres_server: postgres.Server, worker_name: str, tmp_path: Path
) -> None:
    with postgres_server.database(f"{worker_name}_parts") as url:
        shared = url.replace("postgresql://", "postgresql+psycopg://", 1)
        names = {f"CITY_{which.name}_DATABASE": shared for which in (Which.LEDGER,)}
        config = load_config({"CITY_VAR": str(tmp_path / "var"), **names})
        parts = open_parts(config, make=True)
        parts.wallets.open_house()
        parts.databases.close()
        shutil.rmtree(tmp_path / "var")
        with pytest.raises(VarDamaged, match=r"keystore\.json is missing, .* ledger has been used"):
            open_parts(config, make=True)


@pytest.mark.parametrize("lost", ["keys/keystore.json", "keys/kek", "identity.db", "ledger.db"])
def test_what_is_lost_is_named_and_nothing_is_made(tmp_path: Path, lost: str) -> None:
    config = load_config({"CITY_VAR": str(tmp_path)})
    open_parts(config, make=True).databases.close()
    (tmp_path / lost).unlink()
    with pytest.raises(VarDamaged, match=Path(lost).name):
        open_parts(config, make=True)
    assert not (tmp_path / lost).exists()
