"""`python -m backend keys …`: what staff ask and do at the key store. Prints names, never keys."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass

from backend.keys.admin import KeyAdmin
from backend.keys.ceremony import Ceremonies
from backend.keys.model import KeysRefused, KeyState, KeyVersion
from backend.keys.port import KeyRef
from backend.keys.secret import Secret
from backend.keys.service import LOOK_SECONDS

COLUMNS = "{:<20} {:<12} {:>7}  {:<10} {:<11} {:<17} {}"
LINE_CHARACTERS_MAX = 512

LogIn = Callable[[str, str, str], None]
"""Username, password, one-time code; raises KeysRefused for anybody who may not touch keys."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The `keys` command and what is under it."""
    keys = commands.add_parser("keys", help="list, rotate, retire and bring in keys")
    under = keys.add_subparsers(dest="act", required=True)
    under.add_parser("list", help="every version of every key, without the keys")
    under.add_parser("trail", help="who did what to which key")
    acts = {
        "announce": "make a version that others can fetch before it is used",
        "rotate": "the announced version, or a fresh one, is for new work",
        "retire": "destroy a version that nothing needs any more",
        "begin": "await the parts of a key",
        "component": "enter one's own part of a key",
        "abandon": "forget the parts",
        "import": "bring in a key wrapped under the transport key",
    }
    made = {act: under.add_parser(act, help=text) for act, text in acts.items()}
    made["move-to-token"] = under.add_parser("move-to-token", help="from the file into the token")
    for act, parser in made.items():
        parser.add_argument("--as", dest="who", required=True, metavar="STAFF", help="your name")
        if act != "move-to-token":
            parser.add_argument("key", help="purpose, or purpose/algorithm, as `list` shows them")
    made["retire"].add_argument("version", type=int)
    made["retire"].add_argument(
        "--understood", action="store_true", help="what still needs it, may be lost"
    )
    made["begin"].add_argument("--parts", type=int, required=True, help="2 or 3")
    for act in ("begin", "component", "import"):
        made[act].add_argument("--check-value", required=True, help="key check value, hex")


def ask_at_terminal(prompt: str) -> str:
    """One line that is not shown; from a pipe where there is no terminal."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline(LINE_CHARACTERS_MAX).rstrip("\n")


@dataclass(frozen=True, slots=True)
class KeyCommands:
    """Carries out one command line."""

    admin: KeyAdmin
    log_in: LogIn
    ask: Callable[[str], str] = ask_at_terminal
    say: Callable[[str], None] = print

    def run(self, arguments: argparse.Namespace) -> None:
        """Raises KeysRefused, KeystoreDamaged, KeyUnavailable."""
        if arguments.act == "list":
            return self._list()
        if arguments.act == "trail":
            return self._trail()
        who = arguments.who
        self.log_in(who, self.ask("password: "), self.ask("one-time code: "))
        if arguments.act == "move-to-token":
            for moved in self.admin.move_to_device(who):
                self.say(f"{moved.name} lies in the token now")
            return None
        return self._act(who, arguments, find_key(arguments.key))

    def _act(self, who: str, arguments: argparse.Namespace, ref: KeyRef) -> None:
        match arguments.act:
            case "announce":
                self._told(self.admin.announce(who, ref))
            case "rotate":
                self._told(self.admin.rotate(who, ref))
                self.say(f"in use everywhere within {LOOK_SECONDS:g} s; older versions verify")
            case "retire":
                number, understood = arguments.version, arguments.understood
                self._told(self.admin.retire(who, ref, number, understood=understood))
                self.say("it is still in backups of the key store that were made before")
            case "import":
                wrapped = _bytes_of(self.ask("wrapped key, hex: "), "the wrapped key")
                check_value = _bytes_of(arguments.check_value, "the key check value").reveal()
                self._told(self.admin.take_wrapped(who, ref, wrapped.reveal(), check_value))
            case _:
                self._ceremony(who, arguments, ref)

    def _ceremony(self, who: str, arguments: argparse.Namespace, ref: KeyRef) -> None:
        ceremonies = Ceremonies(self.admin)
        if arguments.act == "abandon":
            ceremonies.abandon(who, ref)
            return self.say(f"{ref.value}: the parts are forgotten")
        check_value = _bytes_of(arguments.check_value, "the key check value").reveal()
        if arguments.act == "begin":
            begun = ceremonies.begin(who, ref, arguments.parts, check_value)
            until = f"{begun.expires_at:%Y-%m-%d %H:%M} UTC"
            return self.say(f"{ref.value}: awaits {begun.parts} parts until {until}")
        part = _bytes_of(self.ask("your part, hex: "), "the part")
        ceremony, made = ceremonies.add(who, ref, part, check_value)
        if made is None:
            missing = ceremony.parts - len(ceremony.components)
            return self.say(f"{ref.value}: {missing} more, each from somebody else")
        self._told(made)
        return self.say(f"`keys rotate {ref.value}` puts it to use")

    def _told(self, version: KeyVersion) -> None:
        value = version.check_value.upper()
        self.say(f"{version.name} is {version.state.value}, key check value {value}")

    def _list(self) -> None:
        head = ("purpose", "algorithm", "version", "state", "check value", "created", "place")
        self.say(COLUMNS.format(*head))
        contents = self.admin.contents()
        for one in contents.versions:
            self.say(
                COLUMNS.format(
                    one.ref.purpose,
                    one.ref.algorithm,
                    one.number,
                    one.state.value,
                    one.check_value.upper(),
                    f"{one.created_at:%Y-%m-%d %H:%M}",
                    "-" if one.state is KeyState.RETIRED else one.place,
                )
            )
        for ceremony in contents.ceremonies:
            entered = ", ".join(one.who for one in ceremony.components) or "nobody"
            until = f"{ceremony.expires_at:%Y-%m-%d %H:%M} UTC"
            self.say(f"{ceremony.ref.value}: awaits {ceremony.parts} parts; {entered}; {until}")

    def _trail(self) -> None:
        for line in self.admin.trail():
            words = (line.at, line.who, line.act, line.key, line.check_value.upper(), line.note)
            self.say("  ".join(word for word in words if word))


def find_key(text: str) -> KeyRef:
    """By `purpose/algorithm`, or by a purpose that has one algorithm. Raises KeysRefused."""
    found = [ref for ref in KeyRef if text in (ref.value, ref.purpose)]
    if len(found) > 1:
        named = ", ".join(ref.value for ref in found)
        raise KeysRefused(f"{text} has several algorithms, name one: {named}")
    if not found:
        raise KeysRefused(f"no such key: {text} (`keys list` shows them)")
    return found[0]


def _bytes_of(text: str, what: str) -> Secret:
    """Hex, with spaces if it was typed in groups. Says nothing of what was typed."""
    try:
        return Secret(bytes.fromhex(text))
    except ValueError:
        raise KeysRefused(f"{what} is not hexadecimal") from None
