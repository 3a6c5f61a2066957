"""Each extra brings what its packages import, in the releases that requirements.in chose."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reader_bridge.extras import EXTRAS, PACKAGE
from tests.packaging.closure import (
    ROOT,
    distributions_of,
    extras,
    imports_of,
    names_of,
    needs,
)

BRIDGE = ("bridge", "bridge-pcsc", "bridge-nfc", "bridge-camera")
# Imported by no module of ours: started by its name.
STARTED = {"backend": {"gunicorn"}}
CASES = {
    "bridge": (("reader_bridge", "card_protocol"), BRIDGE),
    "sdk": (("sdk_mobile", "hce", "card_protocol"), ("sdk", "bridge-pcsc", "bridge-nfc")),
    "backend": (("backend", "card_protocol"), ("backend",)),
}


def chosen() -> dict[str, Requirement]:
    """What requirements.in says, and what may be missing of requirements-pcsc.txt."""
    lines = [
        line.partition("#")[0].strip()
        for name in ("requirements.in", "requirements-pcsc.txt")
        for line in (ROOT / name).read_text("utf-8").splitlines()
    ]
    wanted = [Requirement(line) for line in lines if line]
    return {canonicalize_name(one.name): one for one in wanted}


@pytest.mark.parametrize("case", CASES)
def test_every_import_of_others_comes_with_the_extra(case):
    packages, brought = CASES[case]
    named = names_of(*brought)
    # fastapi is made of starlette, anyio and pydantic, flask of werkzeug and jinja2: one step down
    along = named | {need for name in named for need in needs(name)}
    missing = {
        module: file
        for module, file in imports_of(*packages).items()
        if not distributions_of(module) & along
    }
    assert not missing


@pytest.mark.parametrize("case", CASES)
def test_an_extra_brings_nothing_that_nobody_imports(case):
    packages, brought = CASES[case]
    used = {owner for module in imports_of(*packages) for owner in distributions_of(module)}
    assert names_of(*brought) - used <= STARTED.get(case, set())


def test_the_releases_are_those_of_requirements_in():
    known = chosen()
    for extra, wanted in extras().items():
        for one in wanted:
            other = known.get(canonicalize_name(one.name))
            assert other is not None, f"{extra}: {one.name} is not in requirements.in"
            (pin,) = other.specifier
            if pin.operator == "==":  # requirements-pcsc.txt pins what was compiled
                assert one.specifier.contains(pin.version), f"{extra}: {one}"
            else:
                assert one.specifier == other.specifier, f"{extra}: {one}, there: {other}"
            assert one.extras == other.extras


def test_a_missing_driver_names_an_extra_that_has_it():
    for driver, extra in EXTRAS.items():
        assert canonicalize_name(driver) in names_of(extra)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'name = "{PACKAGE}"' in project


def test_the_bridge_brings_nothing_of_the_backend():
    named = names_of(*BRIDGE)
    assert not named & {"flask", "flask-smorest", "sqlalchemy", "gevent", "marshmallow", "psycopg"}
