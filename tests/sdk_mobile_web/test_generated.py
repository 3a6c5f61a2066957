"""What was written from Python is what Python would write today; nothing is left out."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from card_protocol import key_batch
from card_protocol.identity_code import IdentityCode
from card_protocol.pay_code import PayCode
from card_protocol.ride_code import RideCode
from tests.sdk_mobile_web.driving import ROOT, WEB, node
from tools import openapi_types
from tools.openapi_types import VECTORS, cache_version, types, vectors, words

STALE = "stale: run `python -m tools.openapi_types`"
# A member's kind in shapes.js and the type it has in api-types.js.
KINDS = {
    "text": "string",
    "time": "string",
    "bytes": "string",
    "whole": "number",
    "flag": "boolean",
    "wholes": "number[]",
}
# Our shape -> the call whose answer it reads.
ANSWERS = {
    "loginCode": ("post", "/v1/login/codes"),
    "tokens": ("post", "/v1/login/refresh"),
    "person": ("get", "/v1/me"),
    "account": ("post", "/v1/me/wallets"),
    "topUp": ("post", "/v1/me/topups"),
    "device": ("post", "/v1/me/devices"),
    "sealedKeys": ("post", "/v1/me/cards/{token_id}/keys"),
    "card": ("post", "/v1/me/cards"),
    "codePart": ("get", "/v1/me/cards/{token_id}/ride-part"),
    "merchantCode": ("post", "/v1/me/merchant-codes"),
    "payment": ("post", "/v1/me/payments"),
}


@pytest.fixture(scope="module")
def document() -> Mapping[str, Any]:
    return types.public_document()


def modules() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(WEB.glob("*.js"))}


def test_every_generated_file_is_fresh() -> None:
    for path, text in openapi_types.files().items():
        assert path.read_text("utf-8") == text, f"{path.relative_to(ROOT)} is {STALE}"


def test_a_changed_module_is_a_changed_worker() -> None:
    worker = (WEB / "service-worker.js").read_text("utf-8")
    changed = cache_version.with_version(worker, WEB, {WEB / "wallet.js": "other"})
    more = cache_version.with_version(worker, WEB, {WEB / "zebra.js": ""})
    assert cache_version.with_version(worker, WEB, {}) == worker
    assert len({worker, changed, more}) == 3
    assert '"zebra.js"' in more
    with pytest.raises(ValueError, match="VERSION"):
        cache_version.with_version("const MODULES = [];", WEB, {})


def test_every_path_of_the_sdk_is_described() -> None:
    """Goal: no call that the OpenAPI document, and so the types, know nothing of."""
    known = every = {re.sub(r"\{\w+\}", "*", path) for _, path in types.CALLS}
    text = "\n".join(modules().values())
    found = {re.sub(r"\$\{[^}]+\}", "*", one) for one in re.findall(r'[`"](/v1/[^`"]+)[`"]', text)}
    # Paths whose last part is a word handed in.
    ends = {"/v1/me/cards/*/*-part": ("ride-part", "identity-part")}
    ends["/v1/me/cards/*/*"] = ("loss-report", "release")
    for one in sorted(found - {"/v1/"}):
        wanted = {f"/v1/me/cards/*/{end}" for end in ends[one]} if one in ends else {one}
        assert wanted <= every, one
        known = known - wanted
    assert not known, f"no module asks for {sorted(known)}"


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_shapes_are_those_of_the_document(name: str, document: Mapping[str, Any]) -> None:
    schema_name = types.schema_name(document, *ANSWERS[name])
    assert schema_name is not None
    members = document["components"]["schemas"][schema_name]["properties"]
    for member, kind in shapes()[name].items():
        assert member in members, f"{name}.{member} is not told by the API"
        told = {
            "string" if arm.startswith('"') else arm
            for arm in types.type_of(members[member]).split(" | ")
        }
        assert told - {"null"} == {KINDS[kind.removesuffix("?")]}, f"{name}.{member}"
        assert "null" not in told or kind.endswith("?"), f"{name}.{member} may be null"


def shapes() -> dict[str, dict[str, str]]:
    program = (
        f'import {{ SHAPES }} from "{(WEB / "shapes.js").as_uri()}";'
        "process.stdout.write(JSON.stringify(SHAPES));"
    )
    command = [node(), "--input-type=module", "-e", program]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30)
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def test_every_code_has_words_in_both_languages() -> None:
    thrown = set()
    for text in modules().values():
        thrown |= set(re.findall(r'CODE = "([a-z_]+)"', text))
        thrown |= set(re.findall(r'(?:NotReady|CodeUnreadable)\(\s*"([a-z_]+)"', text))
        thrown |= set(re.findall(r'super\("([a-z_]+)"', text))
    for path in (ROOT / "sdk_mobile").glob("*.py"):
        thrown |= set(re.findall(r'NotReady\("([a-z_]+)"', path.read_text("utf-8")))
    known = set(words.OWN) | set(words.SHARED)
    assert len(thrown) >= 20
    assert thrown <= known, f"no words for {sorted(thrown - known)}"
    assert not set(words.OWN) & set(words.SHARED)
    for code, said in words.OWN.items():
        assert said.zh, code
        assert said.en, code
        assert said.zh != said.en, code


def test_the_reference_reads_its_vectors() -> None:
    """Goal: a vector is what the reference takes, not only what it once wrote."""
    load = {path.stem: json.loads(path.read_text("utf-8")) for path in VECTORS.glob("*.json")}
    assert set(load) == set(vectors.documents())
    for one in load["pay_code"]["codes"]:
        assert PayCode.decode_consumer(one["consumer"]) == PayCode.decode(one["digits"])
    for one in load["ride_code"]["codes"]:
        code = RideCode.decode(bytes.fromhex(one["code"]))
        assert code.generated_at == one["generated_at"]
        assert code.part.user_public_key.hex() == load["ride_code"]["vouched"]
    for one in load["identity_code"]["codes"]:
        assert IdentityCode.decode(one["code"]).body().hex() == one["signed"]
    sealed = load["key_batch"]
    opened = key_batch.open_sealed(
        bytes.fromhex(sealed["sealed"]), vectors.SEALING, sealed["token_number"], 7
    )
    assert opened.pay_code_key.hex() == sealed["pay_code_key"]
