"""What an extra of pyproject.toml brings along, read from this environment; asks no registry."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OURS = frozenset({"card_protocol", "hce", "sdk_mobile", "reader_bridge", "backend"})
# pyscard is compiled and may be missing here; `_typeshed` is for the type checker only.
ELSEWHERE: Mapping[str, str] = {"smartcard": "pyscard"}
TYPES_ONLY = frozenset({"_typeshed"})


@cache
def extras() -> Mapping[str, tuple[Requirement, ...]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {
        name: tuple(map(Requirement, wanted))
        for name, wanted in project["optional-dependencies"].items()
    }


def names_of(*chosen: str) -> set[str]:
    """The distributions that these extras name themselves."""
    return {canonicalize_name(one.name) for extra in chosen for one in extras()[extra]}


def needs(distribution: str) -> Iterator[str]:
    """What an installed distribution asks for on this machine, its own extras left out."""
    try:
        wanted = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def closure(*chosen: str) -> set[str]:
    """All distributions that come along."""
    found: set[str] = set()
    todo = sorted(names_of(*chosen))
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(needs(name))
    return found


@cache
def _owners() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def distributions_of(module: str) -> set[str]:
    """Who brings a top-level module."""
    named = _owners().get(module) or [ELSEWHERE.get(module, "")]
    return {canonicalize_name(name) for name in named}


def modules_of(distributions: Iterable[str]) -> set[str]:
    """The top-level modules that these bring."""
    wanted = set(distributions)
    return {
        module
        for module, owners in _owners().items()
        if wanted & {canonicalize_name(owner) for owner in owners}
    }


def imports_of(*packages: str) -> dict[str, str]:
    """Top-level modules of others -> a file that imports them, at its head or when needed."""
    found: dict[str, str] = {}
    for file in sorted(path for name in packages for path in (ROOT / name).rglob("*.py")):
        for module in map(_top, _imported(ast.parse(file.read_text("utf-8")))):
            if module not in sys.stdlib_module_names | OURS | TYPES_ONLY:
                found.setdefault(module, str(file.relative_to(ROOT)))
    return found


def _top(module: str) -> str:
    return module.partition(".")[0]


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module))]
            ):
                yield module
