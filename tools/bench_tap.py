"""How long a tap takes at the PC/SC terminal: card in the field to printed receipt.

The whole stack is there: card in software, virtual reader, pcscd, pyscard, terminal with its
journal, and the backend in a process of its own on this machine, with databases on the disk. New
keys and money are fetched between taps, unmeasured.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from reader_bridge import Receipt
from reader_bridge.readers.port import Reader
from tools import bench
from tools.pcscd import PcscdUnavailable
from tools.story import citizen as story_citizen
from tools.story import shop as story_shop
from tools.story.instance import InstanceFailed, fresh_instance
from tools.story.player import load_city
from tools.story.reader import CARD_SECONDS, open_till
from tools.story.stage import BANK_CARD, Movement, Stage, StoryFailed, require, require_equal

P95_MAX_MS = 150.0
TAPS, TAPS_MAX = 200, 10_000
WARM_UP_TAPS = 10
TAP_FEN = 10
NANOSECONDS_PER_MILLISECOND = 1_000_000
_SUMS = frozenset({"card", "store", "backend"})  # steps that are not single commands to the card
Parts = Mapping[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the promise is kept, 1 when it is broken or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_tap", description=__doc__)
    parser.add_argument("--taps", type=int, default=TAPS, help=f"1 to {TAPS_MAX}, default {TAPS}")
    taps = parser.parse_args(arguments).taps
    if not 1 <= taps <= TAPS_MAX:
        parser.error(f"--taps: 1 to {TAPS_MAX}")
    try:
        with ExitStack() as exits:
            stage = _open_shop(exits)
            rounds = _measure(stage, taps)
            balance = stage.wallet.balance()
            require_equal("balance after all taps", balance.balance_fen, stage.balance_fen)
    except (PcscdUnavailable, InstanceFailed, StoryFailed) as failure:
        print(f"bench_tap: {failure}", file=sys.stderr)
        return 1
    parts = {name: bench.figures([one[name] for one in rounds]) for name in rounds[0]}
    _print_table(parts)
    seen = parts.pop("tap")
    code = bench.report("tap", seen, p95_max_ms=P95_MAX_MS, parts=parts)
    print(f"tap_p95_ms={seen.p95_ms:.1f}")
    return code


def _open_shop(exits: ExitStack) -> Stage:
    """A shop with a till, a citizen with a phone card and enough money for every tap."""
    till, _ = open_till("pcsc", exits)
    instance = exits.enter_context(fresh_instance())
    city, city_folder = load_city()
    stage = Stage(
        public=instance.public,
        internal=instance.internal,
        city=city,
        city_folder=city_folder,
        folder=Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="city-bench-"))),
        till=till,
        exits=exits,
    )
    for step in (
        story_shop.set_up,
        story_shop.activate,
        story_citizen.log_in,
        story_citizen.register,
        story_citizen.open_wallet,
        story_citizen.enrol_device,
        story_citizen.provision_card,
    ):
        step(stage)
    return stage


def _measure(stage: Stage, taps: int) -> list[Parts]:
    """The parts of each tap after the warm-up, in milliseconds."""
    _top_up(stage, (WARM_UP_TAPS + taps) * TAP_FEN)
    rounds: list[Parts] = []
    with stage.till.held(stage.wallet.card()) as reader:
        for number in range(-WARM_UP_TAPS, taps):
            stage.wallet.refill_keys_if_needed()
            if number == 0:
                gc.collect()
            parts = _tap(stage, reader, f"T{number}")
            if number >= 0:
                rounds.append(parts)
    return rounds


def _tap(stage: Stage, reader: Reader, reference: str) -> Parts:
    """One sale, from the card in the field to the receipt's text."""
    began = time.perf_counter_ns()
    receipt = stage.terminal.sell(
        TAP_FEN, register_reference=reference, reader=reader, card_seconds=CARD_SECONDS
    )
    text = receipt.text()
    whole_ms = (time.perf_counter_ns() - began) / NANOSECONDS_PER_MILLISECOND
    require(receipt.is_paid and bool(text), f"tap {reference} was not paid: {receipt.outcome}")
    assert receipt.payment_id is not None
    stage.note_sale(receipt.payment_id, TAP_FEN)
    return _parts_of(receipt, whole_ms)


def _parts_of(receipt: Receipt, whole_ms: float) -> Parts:
    """`card`: its answers, with PC/SC on the way; `backend`: its answer, with HTTP on the way."""
    card_ms = sum(spent for name, spent in receipt.steps if name not in _SUMS)
    backend_ms = sum(spent for name, spent in receipt.steps if name == "backend")
    bridge_ms = whole_ms - card_ms - backend_ms
    return {"tap": whole_ms, "card": card_ms, "bridge": bridge_ms, "backend": backend_ms}


def _top_up(stage: Stage, amount_fen: int) -> None:
    """Whole hundreds of yuan: no magic amount of the sandbox bank."""
    whole_fen = -(-amount_fen // 10_000) * 10_000
    ordered = stage.wallet.top_up(whole_fen, BANK_CARD)
    settled = stage.wallet.wait_for_top_up(ordered.topup_id)
    require_equal("top-up's state", settled.state, "succeeded")
    stage.wallet_lines.append(Movement("top_up", whole_fen, ordered.topup_id))


def _print_table(parts: Mapping[str, bench.Figures]) -> None:
    whole_ms = parts["tap"].p50_ms
    print(
        f"{'part':<8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}  share of the median"
    )
    for name, seen in parts.items():
        row = (seen.p50_ms, seen.p95_ms, seen.p99_ms, seen.worst_ms)
        figures = " ".join(f"{value:>8.1f}" for value in row)
        print(f"{name:<8} {figures}  {seen.p50_ms / whole_ms:>6.0%}")


if __name__ == "__main__":
    sys.exit(main())
