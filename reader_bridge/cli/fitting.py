"""Commands of the fitter: activate a folder, list readers, show the profile."""

from __future__ import annotations

import argparse
from typing import TextIO

from reader_bridge.cli.common import DONE, Commands, open_terminal
from reader_bridge.faults import ReaderFault
from reader_bridge.readers.pcsc import PcscReader
from reader_bridge.terminal import Terminal


def _activate(arguments: argparse.Namespace, out: TextIO) -> int:
    with Terminal.activate(
        arguments.state,
        arguments.url,
        arguments.code,
        label=arguments.label,
        language=arguments.language,
    ) as terminal:
        identity = terminal.identity
        out.write(
            f"{identity.client_id} {identity.terminal_number}"
            f" {identity.merchant_name} {identity.shop_name}\n"
        )
    return DONE


def _readers(arguments: argparse.Namespace, out: TextIO) -> int:
    del arguments
    reader = PcscReader()
    try:
        names = reader.list_names()
    finally:
        reader.close()
    if not names:
        raise ReaderFault("reader_missing", name="")
    out.write("".join(f"{name}\n" for name in names))
    return DONE


def _profile(arguments: argparse.Namespace, out: TextIO) -> int:
    with open_terminal(arguments) as terminal:
        profile = terminal.profile()
    out.write(
        f"{profile.terminal_id} {profile.terminal_number} {profile.merchant_number}"
        f" {profile.merchant_name} {profile.shop_name} version={profile.version}"
        f" timeout={profile.online_timeout_seconds:g}s\n"
    )
    for application in sorted(profile.applications, key=lambda item: item.priority):
        out.write(f"{application.priority} {application.aid.hex().upper()} {application.label}\n")
    return DONE


def add_parser(commands: Commands) -> None:
    """activate, readers, profile."""
    activate = commands.add_parser("activate", help="make the state folder a terminal")
    activate.add_argument("--url", required=True)
    activate.add_argument("--code", required=True, help="activation code XXXX-XXXX")
    activate.add_argument("--label", default="terminal")
    activate.set_defaults(command=_activate)
    readers = commands.add_parser("readers", help="list PC/SC readers")
    readers.set_defaults(command=_readers)
    profile = commands.add_parser("profile", help="what this terminal accepts")
    profile.set_defaults(command=_profile)
