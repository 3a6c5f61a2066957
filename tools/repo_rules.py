"""The repository's own rules (`make check`): what no general linter knows, each with its remedy.

A rule is a function from a source file to the sins in it. A new rule learnt in review goes here,
with a planted sin in tests/architecture/test_repo_rules.py.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 400
# A ratchet: file -> the length it may have today. It may shrink, never grow; at 400 it leaves.
LONGER_FILES: Mapping[str, int] = {}
CODE_SUFFIXES = frozenset({".py", ".js", ".css", ".html", ".sh"})
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".toml", ".txt", ".in", ".csv", ".json", ".yml", ".cfg", ""}
VENDORED = "backend/web/static/vendor/"
PRODUCT = ("card_protocol/", "hce/", "sdk_mobile/", "reader_bridge/", "backend/")
# Where the outside clock comes in; everywhere else it is handed in.
CLOCK_EDGES = frozenset(
    {
        "backend/kernel/clock.py",
        "hce/__main__.py",
        "reader_bridge/__main__.py",
        "reader_bridge/clock.py",
        "sdk_mobile/__main__.py",
        "sdk_mobile/clock.py",
    }
)
CLOCK_CALLS = frozenset(
    {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
)
MONEY_WORDS = frozenset({"fen", "amount", "amounts"})

ABSOLUTE_PATH = re.compile(r"(?<![\w.}/-])/(?:work|home|root)/[\w.]")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi[.]org|pythonhosted[.]org|npmjs[.]org|deb[.]debian[.]org|security[.]debian[.]org"
    r"|archive[.]ubuntu[.]com|crates[.]io|proxy[.]golang[.]org|repo1?[.]maven[.]org)\b"
)
LATER = re.compile(r"\b(?:TO[D]O|FIX[M]E)\b")
SLEEP_REASON = re.compile(r"#\s*sleep:\s*\S+")


@dataclass(frozen=True)
class Source:
    """One tracked file: its path in the repository (with /) and its text."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The text by lines, without their ends."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module | None:
        """The syntax tree of a Python file; None for any other file, or where ruff says why."""
        if not self.path.endswith(".py"):
            return None
        try:
            return ast.parse(self.text)
        except SyntaxError:
            return None

    def nodes(self) -> Iterator[ast.AST]:
        """Every node of the tree; none for a file that is not Python."""
        if self.tree is not None:
            yield from ast.walk(self.tree)


Sin = tuple[int, str]  # line, what to write instead
Rule = Callable[[Source], Iterator[Sin]]


def _matching(source: Source, pattern: re.Pattern[str], remedy: str) -> Iterator[Sin]:
    for number, line in enumerate(source.lines, start=1):
        if pattern.search(line):
            yield number, remedy


def absolute_path(source: Source) -> Iterator[Sin]:
    """A path of one machine is wrong on the next."""
    yield from _matching(
        source, ABSOLUTE_PATH, "a path of one machine: write it relative to the repository's root"
    )


def registry_host(source: Source) -> Iterator[Sin]:
    """Where packages come from is the machine's setting."""
    yield from _matching(
        source, REGISTRY_HOST, "a registry's host: leave it to the machine's pip and apt settings"
    )


def later(source: Source) -> Iterator[Sin]:
    """A promise in a comment is kept by nobody."""
    yield from _matching(
        source, LATER, "a note for later: do it now, or file an issue and say nothing here"
    )


def long_file(source: Source) -> Iterator[Sin]:
    """A file over the limit is two files."""
    if Path(source.path).suffix not in CODE_SUFFIXES:
        return
    length, allowed = len(source.lines), LONGER_FILES.get(source.path, LINES_MAX)
    if length > allowed:
        yield allowed, f"{length} lines, {allowed} allowed: split the file by what it is about"
    elif source.path in LONGER_FILES and length <= LINES_MAX:
        yield 1, "short enough now: take it out of LONGER_FILES in tools/repo_rules.py"


def module_docstring(source: Source) -> Iterator[Sin]:
    """A module says what it is for, and what it must not know."""
    if source.tree is not None and source.text.strip() and ast.get_docstring(source.tree) is None:
        yield 1, "no docstring: open with one line that says what the module is for"


def _does_nothing(body: list[ast.stmt]) -> bool:
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def swallowed_error(source: Source) -> Iterator[Sin]:
    """An error nobody hears of is found by a customer."""
    remedy = "a swallowed error: name the exception with contextlib.suppress(), or handle it"
    for node in source.nodes():
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _does_nothing(node.body)):
            yield node.lineno, remedy
        if isinstance(node, ast.Call) and _dotted(node.func).rpartition(".")[2] == "suppress":
            names = {_dotted(argument) for argument in node.args}
            if names & {"Exception", "BaseException"}:
                yield node.lineno, remedy


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def sleep_in_test(source: Source) -> Iterator[Sin]:
    """A sleep in a test hides a race, or slows everybody down."""
    if not source.path.startswith("tests/"):
        return
    for node in source.nodes():
        if not (isinstance(node, ast.Call) and _dotted(node.func) in {"time.sleep", "sleep"}):
            continue
        around = source.lines[max(node.lineno - 2, 0) : node.lineno]
        if not any(SLEEP_REASON.search(line) for line in around):
            yield (
                node.lineno,
                "a sleep in a test: wait for the event itself with a bound, or hand in a clock; "
                "where time itself is the matter, say so in a comment `# sleep: why`",
            )


def _is_money(name: str) -> bool:
    return bool(MONEY_WORDS & set(name.lower().split("_")))


def _names_float(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    return any(isinstance(node, ast.Name) and node.id == "float" for node in ast.walk(annotation))


def float_money(source: Source) -> Iterator[Sin]:
    """Money is whole fen."""
    remedy = "money as float: amounts are whole fen, `amount_fen: int`"
    for node in source.nodes():
        match node:
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)) if _is_money(
                name
            ) and _names_float(node.annotation):
                yield node.lineno, remedy
            case ast.arg(arg=name) if _is_money(name) and _names_float(node.annotation):
                yield node.lineno, remedy
            case ast.FunctionDef(name=name) if _is_money(name) and _names_float(node.returns):
                yield node.lineno, remedy
            case ast.Call(func=ast.Name(id="float"), args=[argument]) if _is_money(
                _dotted(argument).rpartition(".")[2]
            ):
                yield node.lineno, remedy


def stray_commit(source: Source) -> Iterator[Sin]:
    """One command, one unit of work, one commit."""
    if not source.path.startswith("backend/") or source.path.startswith("backend/db/"):
        return
    for node in source.nodes():
        match node:
            case ast.Call(func=ast.Attribute(attr="commit")):
                yield node.lineno, "a commit outside backend/db: the unit of work commits, alone"


def requests_import(source: Source) -> Iterator[Sin]:
    """One HTTP client for all."""
    for node in source.nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        if any(name.partition(".")[0] == "requests" for name in names):
            yield node.lineno, "requests: use httpx, with a time limit"  # type: ignore[attr-defined]


def ambient_clock(source: Source) -> Iterator[Sin]:
    """The clock is handed in, so that tests and the sandbox can turn it."""
    if not source.path.startswith(PRODUCT) or source.path in CLOCK_EDGES:
        return
    for node in source.nodes():
        if isinstance(node, ast.Attribute):
            called = ".".join(_dotted(node).split(".")[-2:])
            if called in CLOCK_CALLS:
                yield node.lineno, f"{called}: take the clock as an argument (backend.kernel.clock)"


RULES: Mapping[str, Rule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        absolute_path,
        ambient_clock,
        float_money,
        later,
        long_file,
        module_docstring,
        registry_host,
        requests_import,
        sleep_in_test,
        stray_commit,
        swallowed_error,
    )
}


def sins_of(source: Source) -> Iterator[str]:
    """Every sin of one file, as `path:line: rule: what to write instead`."""
    for name, rule in RULES.items():
        for line, remedy in sorted(rule(source)):
            yield f"{source.path}:{line}: {name}: {remedy}"


def tracked_sources(root: Path) -> Iterator[Source]:
    """Every text file that git tracks or would track, without what others wrote."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, cwd=root).stdout
    for path in sorted(set(listed.decode("utf-8").split("\0")) - {""}):
        file = root / path
        if Path(path).suffix in TEXT_SUFFIXES and not path.startswith(VENDORED) and file.is_file():
            yield Source(path, file.read_text(encoding="utf-8", errors="replace"))


def main() -> int:
    """Prints every sin; 1 when there are any."""
    count = files = 0
    for source in tracked_sources(ROOT):
        files += 1
        for sin in sins_of(source):
            print(sin)
            count += 1
    print(f"repo_rules: {files} files, {len(RULES)} rules, {count} sins", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main())
