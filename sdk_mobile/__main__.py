"""A phone on the command line, to try the package against a running backend: see --help.

Knows only the `Wallet`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hce.transports import vpcd
from sdk_mobile.attesting import SandboxPlatform
from sdk_mobile.errors import (
    Offline,
    OutcomeUnknown,
    Refused,
    SdkError,
    SignedOut,
    StorageDamaged,
    StorageFailed,
)
from sdk_mobile.identity_code import CLAIMS, PURPOSES
from sdk_mobile.pictures import picture
from sdk_mobile.storage import FileStorage
from sdk_mobile.wallet import Wallet

OK, REFUSED, UNUSABLE = 0, 1, 2
REFILL_LOOK_SECONDS = 30.0
RE_ENROL = "re-enrol"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 1 refused or offline, 2 nothing could be tried."""
    options = _parser().parse_args(arguments)
    try:
        storage = FileStorage(Path(options.state))
        try:
            _run(storage, options)
        finally:
            storage.close()
    except (StorageDamaged, StorageFailed, ValueError) as error:
        print(f"cannot be used: {error}", file=sys.stderr)
        return UNUSABLE
    except OutcomeUnknown as unknown:
        print(f"{unknown} (command: resume)", file=sys.stderr)
        return REFUSED
    except (SdkError, ConnectionError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return REFUSED
    return OK


def _run(storage: FileStorage, options: argparse.Namespace) -> None:
    if options.command == RE_ENROL:  # before a wallet is made, which damage forbids
        _re_enrol(storage)
        return
    vendor = options.vendor_key
    platform = None if vendor is None else SandboxPlatform.load(vendor)
    with Wallet(options.url, storage, language=options.language, attester=platform) as wallet:
        _COMMANDS[options.command](wallet, options)


def _re_enrol(storage: FileStorage) -> None:
    done = Wallet.re_enrol(storage)
    print(f"put aside: {', '.join(done.put_aside) or 'nothing'}")
    for operation_id in done.dropped:
        print(f"dropped: {operation_id}")
    if done.must_enrol:
        print("next: login PHONE, resume, card")


def yuan_text(amount_fen: int) -> str:
    """`-1250` as `-12.50`; no fraction is ever computed."""
    sign, fen = ("-", -amount_fen) if amount_fen < 0 else ("", amount_fen)
    return f"{sign}{fen // 100}.{fen % 100:02d}"


def fen_from_yuan(text: str) -> int:
    """`12.5` as 1250. Raises argparse.ArgumentTypeError."""
    whole, point, part = text.partition(".")
    is_whole = whole.isascii() and whole.isdigit()
    is_part = (part.isascii() and part.isdigit() and len(part) <= 2) if point else True
    if not (is_whole and is_part and len(whole) <= 9):
        raise argparse.ArgumentTypeError(f"not an amount in yuan: {text}")
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)


def _log_in(wallet: Wallet, options: argparse.Namespace) -> None:
    if options.code is None:
        wallet.request_login_code(options.phone)
        print(f"a code was sent to {options.phone}")
        options.code = input("code: ").strip()
    is_registered = wallet.log_in(options.phone, options.code)
    print("logged in" if is_registered else "logged in; next: register NAME ID_NUMBER")


def _register(wallet: Wallet, options: argparse.Namespace) -> None:
    person = wallet.register(options.name, options.id_number)
    print(f"registered {person.name_masked} {person.id_number_masked}")


def _card(wallet: Wallet, options: argparse.Namespace) -> None:
    wallet.open_wallet()
    wallet.enrol_device("command line")
    card = wallet.provision_card()
    wallet.refill_keys_if_needed()
    print(f"{card.label} {card.token_number} {card.state}")


def _top_up(wallet: Wallet, options: argparse.Namespace) -> None:
    top_up = wallet.top_up(options.amount_fen, options.bank_card)
    if not top_up.is_settled:
        print(f"{top_up.topup_id} processing")
        top_up = wallet.wait_for_top_up(top_up.topup_id, timeout_seconds=60)
    reason = f" {top_up.failure_code}" if top_up.failure_code else ""
    print(f"{top_up.topup_id} {yuan_text(top_up.amount_fen)} {top_up.state}{reason}")


def _pay_code(wallet: Wallet, options: argparse.Namespace) -> None:
    code = wallet.pay_code()
    if options.picture is not None:
        if options.kind == "emvco":
            drawn = picture(code.consumer_presented, "qr")
        else:
            drawn = picture(code.digits, options.kind)
        Path(options.picture).write_bytes(drawn)
    print(f"{code.digits} until {_time(code.valid_until)}")


def _ride_code(wallet: Wallet, options: argparse.Namespace) -> None:
    _prepare(wallet.ride.refresh_if_needed)
    code = wallet.ride.show()
    Path(options.picture).write_bytes(picture(code.content, "qr"))
    print(f"{options.picture} until {_time(code.valid_until)}")


def _identity_code(wallet: Wallet, options: argparse.Namespace) -> None:
    _prepare(wallet.identity.refresh_if_needed)
    code = wallet.identity.show(options.purpose, options.claims)
    if options.picture is not None:
        Path(options.picture).write_bytes(picture(code.content, "qr"))
    print(f"{code.content} until {_time(code.valid_until)}")


def _prepare(refresh: Callable[[], object]) -> None:
    try:
        refresh()
    except Offline as error:
        print(f"offline: {error}", file=sys.stderr)  # what was fetched before may still do


def _pay(wallet: Wallet, options: argparse.Namespace) -> None:
    payment = wallet.pay_merchant_code(options.content, options.amount_fen)
    print(f"{payment.payment_id} {yuan_text(payment.amount_fen)} {payment.merchant_name}")


def _history(wallet: Wallet, options: argparse.Namespace) -> None:
    balance, history = wallet.balance(), wallet.history()
    for line in history.lines:
        amounts = f"{yuan_text(line.amount_fen):>10} {yuan_text(line.balance_fen):>10}"
        print(f"{_time(line.time)} {amounts} {line.code} {line.counterparty or ''}".rstrip())
    known = "" if balance.is_fresh else f" as of {_time(balance.as_of)} (offline)"
    print(f"balance {yuan_text(balance.balance_fen)}{known}")


def _resume(wallet: Wallet, options: argparse.Namespace) -> None:
    for outcome in wallet.resume():
        ending = outcome.refusal or "done"
        print(f"{outcome.kind} {outcome.operation_id}: {ending}")
    print(f"still open: {len(wallet.open_operations())}")


def _plug(wallet: Wallet, options: argparse.Namespace) -> None:
    """Until Ctrl-C; keys are refilled meanwhile, as an app would do."""
    with vpcd.VpcdPlug(wallet.card(), options.host, options.port) as plug:
        print(f"the card is in {options.host}:{options.port}; Ctrl-C takes it out", flush=True)
        try:
            while not plug.wait(REFILL_LOOK_SECONDS):
                _refill(wallet)
        except KeyboardInterrupt:
            print("taken out")


def _refill(wallet: Wallet) -> None:
    try:
        wallet.refill_keys_if_needed()
    except (Offline, OutcomeUnknown, Refused, SignedOut) as error:
        print(f"no new keys: {error}", file=sys.stderr)  # the card goes on with those it has


def _time(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


_COMMANDS: Mapping[str, Callable[[Wallet, argparse.Namespace], None]] = {
    "login": _log_in,
    "register": _register,
    "card": _card,
    "top-up": _top_up,
    "pay-code": _pay_code,
    "ride-code": _ride_code,
    "identity-code": _identity_code,
    "pay": _pay,
    "history": _history,
    "resume": _resume,
    "plug": _plug,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdk_mobile", description=__doc__)
    parser.add_argument("--state", required=True, help="the phone's directory")
    parser.add_argument("--url", required=True, help="the public network, e.g. of `make run`")
    parser.add_argument("--language", choices=("zh-CN", "en"), default="zh-CN")
    parser.add_argument(
        "--vendor-key",
        type=Path,
        metavar="FILE",
        help="the demo city's sandbox_vendor.pem: vouches for the phone's keys",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    login = commands.add_parser("login", help="log in with a one-time code")
    login.add_argument("phone")
    login.add_argument("--code", help="the code, when it was asked for before")
    register = commands.add_parser("register", help="match with the city's base records")
    register.add_argument("name")
    register.add_argument("id_number")
    commands.add_parser("card", help="wallet, phone and card, as far as they are missing")
    top_up = commands.add_parser("top-up", help="put money into the wallet")
    top_up.add_argument("amount_fen", type=fen_from_yuan, metavar="YUAN")
    top_up.add_argument("bank_card")
    code = commands.add_parser("pay-code", help="show a pay code, also offline")
    code.add_argument("--picture", help="write a PNG here too")
    code.add_argument("--kind", choices=("qr", "code128", "emvco"), default="qr")
    ride = commands.add_parser("ride-code", help="show a ride code, also offline")
    ride.add_argument("picture", help="write a PNG here")
    identity = commands.add_parser("identity-code", help="show an identity code, also offline")
    identity.add_argument("purpose", choices=PURPOSES)
    identity.add_argument("claims", nargs="+", choices=CLAIMS)
    identity.add_argument("--picture", help="write a PNG here too")
    pay = commands.add_parser("pay", help="pay a merchant code")
    pay.add_argument("content")
    pay.add_argument("amount_fen", type=fen_from_yuan, metavar="YUAN")
    commands.add_parser("history", help="statement and balance, offline as remembered")
    commands.add_parser("resume", help="learn the outcome of what was left open")
    commands.add_parser(RE_ENROL, help="the way out of damaged files: begin anew what they held")
    plugged = commands.add_parser("plug", help="plug the card into pcscd's virtual reader")
    plugged.add_argument("--host", default=vpcd.HOST)
    plugged.add_argument("--port", type=int, default=vpcd.PORT)
    return parser


if __name__ == "__main__":
    sys.exit(main())
