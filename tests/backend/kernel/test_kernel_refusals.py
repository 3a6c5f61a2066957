"""Every refusal of the backend: unique, in both languages, filled where it is raised."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import string
import sys
from collections import Counter
from pathlib import Path

import pytest

import backend
from backend.kernel import DomainError, Kind, Words

ROOT = Path(backend.__file__).parent
SKIPPED = ("backend.__main__", "backend.serve", "backend.db.migrations")
PROBLEM_MEMBERS = {
    "article",
    "code",
    "detail",
    "errors",
    "request_id",
    "retryable",
    "status",
    "title",
    "type",
}


def _import_everything() -> None:
    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if not module.name.startswith(SKIPPED):
            importlib.import_module(module.name)


def _refusals() -> list[type[DomainError]]:
    _import_everything()
    found: list[type[DomainError]] = []
    pending = [DomainError]
    while pending:
        for one in pending.pop().__subclasses__():
            pending.append(one)
            if one.__module__.startswith("backend."):
                found.append(one)
    return sorted(set(found), key=lambda one: f"{one.__module__}.{one.__name__}")


REFUSALS = _refusals()
CONCRETE = [one for one in REFUSALS if hasattr(one, "code")]


def _name(refusal: type[DomainError]) -> str:
    return f"{refusal.__module__.removeprefix('backend.')}.{refusal.__name__}"


def _placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("refusal", CONCRETE, ids=_name)
def test_a_refusal_says_everything_in_both_languages(refusal: type[DomainError]) -> None:
    assert isinstance(refusal.kind, Kind)
    assert refusal.code == refusal.code.lower()
    assert refusal.code.replace("_", "a").isalnum()
    assert refusal.code.isascii()
    for words in (refusal.title, refusal.detail):
        assert isinstance(words, Words)
        assert words.zh.strip()
        assert words.en.strip()
        assert words.en.isascii() or not any("\u4e00" <= one <= "\u9fff" for one in words.en)
        assert any("\u4e00" <= one <= "\u9fff" for one in words.zh), "zh holds no Chinese"
    assert not _placeholders(refusal.title.zh) | _placeholders(refusal.title.en)


@pytest.mark.parametrize("refusal", CONCRETE, ids=_name)
def test_both_languages_use_the_same_data(refusal: type[DomainError]) -> None:
    names = _placeholders(refusal.detail.zh)
    assert names == _placeholders(refusal.detail.en)
    assert not names & PROBLEM_MEMBERS, "data would overwrite a member of the problem document"


def test_codes_are_unique() -> None:
    codes = Counter(one.code for one in REFUSALS if "code" in vars(one))
    assert {code: count for code, count in codes.items() if count > 1} == {}
    assert len(codes) > 20


def test_a_class_without_a_code_is_never_raised() -> None:
    """A base of refusals may leave the code to its subclasses; then it has some."""
    bare = [one for one in REFUSALS if not hasattr(one, "code")]
    assert [one.__name__ for one in bare if not one.__subclasses__()] == []


def _calls() -> list[tuple[str, type[DomainError], set[str]]]:
    """Every place that makes a refusal with the base's constructor: where, which, what data."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT.parent)
        known = vars(sys.modules.get(".".join(place.with_suffix("").parts), ast))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for line, name, data in _made(node):
                refusal = known.get(name)
                if refusal in CONCRETE and refusal.__init__ is DomainError.__init__:
                    found.append((f"{place}:{line}", refusal, data))
    return found


def _made(node: ast.AST) -> list[tuple[int, str, set[str]]]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
        return [(node.lineno, node.exc.id, set())]
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return []
    if any(word.arg is None for word in node.keywords):
        return []  # `**data`: not to be seen from here
    return [(node.lineno, node.func.id, {word.arg for word in node.keywords if word.arg})]


def test_whoever_refuses_hands_over_the_data_the_words_need() -> None:
    calls = _calls()
    assert len(calls) > 20
    lacking = [
        f"{where}: {refusal.__name__} lacks {sorted(missing)}"
        for where, refusal, data in calls
        if (missing := _placeholders(refusal.detail.zh) - data)
    ]
    assert lacking == []


def test_no_refusal_overwrites_a_member_of_the_problem_document() -> None:
    clashing = [
        f"{where}: {sorted(data & (PROBLEM_MEMBERS - {'article'}))}"
        for where, _, data in _calls()
        if data & (PROBLEM_MEMBERS - {"article"})
    ]
    assert clashing == []


@pytest.mark.parametrize("kind", Kind)
def test_only_a_verdict_is_kept_as_an_answer(kind: Kind) -> None:
    """A refusal that may end by itself, or that says "ask again", must not be replayed for ever."""

    class Sample(DomainError):
        code = "sample"
        title = detail = Words(zh="样", en="sample")

    Sample.kind = kind
    lasting = {Kind.UNKNOWN, Kind.CONFLICT, Kind.REFUSED, Kind.FORBIDDEN}
    assert Sample().is_lasting is (kind in lasting)
