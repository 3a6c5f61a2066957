"""House rules that import-linter cannot say: rooms, doors, and who may open which.

Holds for whatever domains exist: a new folder under backend/ is a domain unless listed as a base.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKEND = ROOT / "backend"
# Not domains: what every domain stands on. Their modules may be imported by name.
BASES = frozenset({"kernel", "db", "web", "keys"})
# A room may be a file or a folder of that name, when one file would grow too long.
ROOMS = frozenset({"model", "states", "service", "tables", "schemas", "api"})
# Rooms any domain may have: `errors`: its refusals, with their words in two languages; `ports`:
# what the outside must offer; `sandbox`: the implementation that exists in this process only.
EVERYWHERE = frozenset({"errors", "ports", "sandbox"})
# domain -> further rooms of its own.
MORE_ROOMS: Mapping[str, frozenset[str]] = {
    "identity": frozenset(
        {
            "persons",  # rows of persons, read and written for several services
            "vault",  # what is personal, sealed on its way to rows
            "challenges",  # one-time codes: asked for, tried, used up
            "logins",  # the service of log-in and sessions, beside registration's
            "refresh_tokens",  # how a refresh token is made, read and followed by the next
            "sms",  # the SMS centre as a port, and the outbox consumer that sends
            "sms_sandbox",  # the SMS centre that exists in this process only
        }
    ),
    "merchants": frozenset(
        {
            "activation",  # the service that turns a short code into a terminal's key
            "codes",  # merchant codes: made and read
            "logins",  # the service of signed log-in
            "profiles",  # what a terminal is told to accept
            "rows",  # reads rows for several services
        }
    ),
    "portal": frozenset(
        {
            "colours",  # the brand's stylesheet
            "story",  # reads what the player of the story left
            "words",  # the pages' texts, both languages
        }
    ),
    "staff": frozenset({"authenticator"}),  # who calls on the internal network: the web's port
    "cards": frozenset(
        {
            "denials",  # which purses no terminal may take: for the deny list
            "macs",  # what the issuer's host computes for a purse, in the key service
        }
    ),
    "transit": frozenset({"upkeep"}),  # the worker's own sweep of the deny list
    "virtual_card": frozenset(
        {
            "denials",  # which token numbers no terminal may take: for the deny list
            "cards",  # the service of tokens: provision, refill, loss report
            "devices",  # the service of phones
            "key_service",  # derives and seals a token's keys
            "rows",  # makes values of rows for several services
            "verifier",  # checks taps and pay codes; reads only
        }
    ),
    "payments": frozenset(
        {
            "moves",  # how a decided payment moves money
            "guessing",  # stops a terminal that tries out pay codes
            "refusals",  # which refusals each operation may answer, for the document
            "admission",  # whether a sale may go on: its proof is genuine, for it, and unused
            "records",  # payment rows by key, for service, moves and admission
            "statements",  # the merchant's statement of a business day: reads only
        }
    ),
    "wallet": frozenset(
        {
            "accounts",  # the kinds of account, with floor and ceiling
            "bank",  # the partner bank as a port, and its sandbox
            "proof",  # sum zero, custody equals what is owed
            "recipes",  # each movement of money as a named function
        }
    ),
}
# Who joins the parts, and so may open every door and room.
JOINERS = frozenset({"app", "opening", "terms", "demo", "serve", "__main__"})
# What a room must not import, beside what import-linter says: rules know nothing of rows, rows
# nothing of requests.
SIBLINGS_FORBIDDEN: Mapping[str, frozenset[str]] = {
    "model": frozenset({"service", "tables", "schemas", "api"}),
    "states": frozenset({"service", "tables", "schemas", "api"}),
    "tables": frozenset({"service", "schemas", "api"}),
    "service": frozenset({"schemas", "api"}),
    "schemas": frozenset({"service", "tables", "api"}),
    "api": frozenset({"tables"}),
}


def folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if any(path.rglob("*.py")) and path.is_dir())


DOMAINS = [path for path in folders(BACKEND) if path.name not in BASES]
each_domain = pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.name)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports; `from a import b` gives `a` and `a.b`."""
    package = path.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield node.lineno, source
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def room_of(path: Path, domain: Path) -> str:
    return path.relative_to(domain).parts[0].removesuffix(".py")


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_sub_rooms_are_read_too() -> None:
    """Goal: the reader of imports itself: relative and absolute, module and name."""
    found = {name for _, name in imports(Path(__file__))}
    assert {"ast", "pathlib.Path", "collections.abc"} <= found


@each_domain
def test_a_domain_has_a_door(domain: Path) -> None:
    door = domain / "__init__.py"
    assert door.is_file(), f"{domain.name} has no door: write __init__.py with __all__"
    tree = ast.parse(door.read_text(encoding="utf-8"))
    names = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in names, f"{domain.name}: name in __all__ what other domains may import"


@each_domain
def test_a_domain_has_only_the_rooms_of_the_house(domain: Path) -> None:
    allowed = ROOMS | EVERYWHERE | MORE_ROOMS.get(domain.name, frozenset()) | {"__init__"}
    strangers = []
    for path in sorted(domain.iterdir()):
        is_code = path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
        is_sub_domain = path.is_dir() and (path / "model.py").is_file()
        if is_code and path.stem not in allowed and not is_sub_domain:
            strangers.append(path.name)
    assert not strangers, (
        f"{domain.name} has {strangers}: put it into one of {sorted(ROOMS)}, or list the room with "
        "its reason in MORE_ROOMS"
    )


@each_domain
def test_other_domains_are_entered_by_the_door(domain: Path) -> None:
    others = {other.name for other in DOMAINS} - {domain.name}
    sins = []
    for path in sorted(domain.rglob("*.py")):
        for line, name in imports(path):
            parts = name.split(".")
            if len(parts) < 3 or parts[0] != "backend" or parts[1] not in others:
                continue
            if is_module(".".join(parts[:3])):
                sins.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not sins, "import from the domain's door (backend.<domain>) instead: " + "; ".join(sins)


def test_the_bases_know_no_domain() -> None:
    sins = []
    for base in sorted(BASES):
        for path in sorted((BACKEND / base).rglob("*.py")):
            for line, name in imports(path):
                parts = name.split(".")
                if len(parts) > 1 and parts[0] == "backend" and is_domain(parts[1]):
                    sins.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not sins, "hand it in from backend.app instead: " + "; ".join(sins)


def is_domain(name: str) -> bool:
    return any(domain.name == name for domain in DOMAINS)


@each_domain
def test_rooms_look_down_only(domain: Path) -> None:
    sins = []
    for path in sorted(domain.rglob("*.py")):
        forbidden = SIBLINGS_FORBIDDEN.get(room_of(path, domain), frozenset())
        for line, name in imports(path):
            parts = name.split(".")
            if parts[:2] == ["backend", domain.name] and len(parts) > 2 and parts[2] in forbidden:
                sins.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not sins, f"rules know no rows, rows no requests: {sins}"


def test_loose_modules_of_the_backend_only_join() -> None:
    """Goal: nothing but the joiners and the bases lies beside the domains."""
    loose = {path.stem for path in BACKEND.glob("*.py")} if BACKEND.is_dir() else set()
    assert loose <= JOINERS | {"__init__", "config", "sandbox"}, (
        f"{sorted(loose - JOINERS)}: a noun of the city is a domain, a part of the edge is web/"
    )


def test_import_linter_watches_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    watched = set(settings["tool"]["importlinter"]["root_packages"])
    packages = {"card_protocol", "hce", "sdk_mobile", "reader_bridge", "backend"}
    assert watched == packages


def test_import_linter_knows_every_domain() -> None:
    """Goal: a new domain cannot slip past the order of the house."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (house,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["backend"]
    )
    listed = {
        name.strip(" ()")
        for layer in house["layers"]
        for name in layer.replace(":", "|").split("|")
    }
    assert {domain.name for domain in DOMAINS} | BASES <= listed
