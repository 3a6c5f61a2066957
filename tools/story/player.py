"""The story: a citizen gets a phone card, pays by tap and by code; each step proves what it says.

`python -m tools.story` plays it on a fresh temporary instance, with `--public` and `--internal`
against a running one. One line a step; the last line is `story=ok steps=N`, or
`story=failed step=… reason=…` with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdk_mobile import SandboxPlatform
from tools import pcscd
from tools.story import books, citizen, shop
from tools.story.instance import ROOT, InstanceFailed, fresh_instance
from tools.story.reader import open_till
from tools.story.record import Record
from tools.story.stage import Stage, StoryFailed, Told


@dataclass(frozen=True, slots=True)
class Step:
    """`play` does it and checks it."""

    zh: str
    en: str
    play: Callable[[Stage], Told]


STEPS: tuple[Step, ...] = (
    Step("内网开户：商户、门店、终端", "staff sets up a merchant", shop.set_up),
    Step("终端与商户后台激活", "terminal and merchant's server activated", shop.activate),
    Step("市民短信登录", "citizen logs in", citizen.log_in),
    Step("实名登记与基础库比对", "citizen registered and matched", citizen.register),
    Step("开立钱包", "wallet opened", citizen.open_wallet),
    Step("手机登记", "device enrolled", citizen.enrol_device),
    Step("手机卡发卡", "phone card provisioned", citizen.provision_card),
    Step("充值 200 元", "top-up of 200 yuan", citizen.top_up),
    Step("充值超时后到账", "top-up that times out", citizen.top_up_late),
    Step("挥卡支付 12.50 元", "tap of 12.50 yuan", shop.tap_phone),
    Step("余额不足拒付", "tap refused", shop.tap_refused),
    Step("离线付款码", "pay code shown offline", shop.pay_by_code),
    Step("扫商户收款码", "merchant code scanned", shop.pay_merchant_code),
    Step("收银机应答丢失", "till's lost answer", shop.lose_answer),
    Step("部分退款", "partial refund", shop.refund),
    Step("商户对账单", "merchant's statement", books.read_statement),
    Step("账务核验", "ledger proof", books.prove),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every step was seen, 1 otherwise."""
    options = _parser().parse_args(arguments)
    if (options.public is None) != (options.internal is None):
        print("story=failed step=0 reason=--public and --internal go together")
        return 1
    record = Record(options.result)
    try:
        with ExitStack() as exits:
            stage = _set_the_stage(options, record, exits)
            play(stage, record)
    except (StoryFailed, InstanceFailed, pcscd.PcscdUnavailable) as failure:
        record.fail(str(failure))
    except KeyboardInterrupt:
        record.fail("interrupted")
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        record.fail(f"{type(error).__name__}: {error}")
    else:
        record.succeed()
    return 0 if record.ok else 1


def play(stage: Stage, record: Record) -> None:
    """Raises what the step raises that fails; `record` then knows which."""
    for step in STEPS:
        with record.step(step.zh, step.en) as line:
            line.told = step.play(stage)


def load_city() -> tuple[Mapping[str, Any], Path]:
    """city.toml and the folder its data files are named from."""
    path = Path(os.environ.get("CITY_CONFIG", ROOT / "city.toml"))
    return tomllib.loads(path.read_text(encoding="utf-8")), path.resolve().parent


def _set_the_stage(options: argparse.Namespace, record: Record, exits: ExitStack) -> Stage:
    city, city_folder = load_city()
    public, internal, vendor_key = options.public, options.internal, options.vendor_key
    if public is None:
        began = time.monotonic()
        instance = exits.enter_context(fresh_instance())
        public, internal = instance.public, instance.internal
        vendor_key = instance.vendor_key
        print(f"临时实例 · temporary instance, ready after {time.monotonic() - began:.1f} s")
    till, reason = open_till(options.reader, exits)
    if reason is not None:
        print(f"无 PC/SC，改用进程内读卡器 · no PC/SC, taps over the loopback reader: {reason}")
    record.reader = till.kind
    return Stage(
        public=public.rstrip("/"),
        internal=internal.rstrip("/"),
        city=city,
        city_folder=city_folder,
        folder=Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="city-people-"))),
        till=till,
        exits=exits,
        platform=None if vendor_key is None else SandboxPlatform.load(vendor_key),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.story", description=__doc__)
    parser.add_argument("--public", metavar="URL", help="public network of a running server")
    parser.add_argument("--internal", metavar="URL", help="internal network of the same server")
    parser.add_argument(
        "--vendor-key",
        type=Path,
        metavar="FILE",
        help="its sandbox_vendor.pem: phones are attested",
    )
    parser.add_argument("--result", type=Path, metavar="FILE", help="keep the result as JSON here")
    parser.add_argument("--reader", choices=("auto", "pcsc", "loopback"), default="auto")
    return parser
