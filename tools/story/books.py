"""The end of the story: the merchant's statement, custody, and the ledger's proof."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from tools.story.stage import Movement, Stage, StoryFailed, Told, require_equal, today, yuan

PAGE_LINES = 2  # small, so that turning pages is part of the story
PAGES_MAX = 200
DAYS_BACK_MAX = 31
ROUNDS_MAX = 5  # on a server that others use, a top-up may come between booking and proof
PROOF_FIGURES = ("sum_fen", "debits_fen", "credits_fen", "custody_fen", "owed_fen")


def read_statement(stage: Stage) -> Told:
    """Line by line what the story sold and gave back, and the sums of exactly that."""
    lines, sums = statement(stage)
    require_equal("statement", lines, stage.merchant_lines[::-1])
    sales = [line.amount_fen for line in stage.merchant_lines if line.code == "payment"]
    refunds = [-line.amount_fen for line in stage.merchant_lines if line.code == "refund"]
    expected = {
        "payments_count": len(sales),
        "payments_fen": sum(sales),
        "refunds_count": len(refunds),
        "refunds_fen": sum(refunds),
        "net_fen": sum(sales) - sum(refunds),
    }
    require_equal("totals of the statement", sums, expected)
    net = yuan(expected["net_fen"])
    return Told(
        f"{len(sales)} 笔收款、{len(refunds)} 笔退款，净额 {net} 元，逐行相符",
        f"{len(sales)} payments, {len(refunds)} refund, net {net} yuan, every line as played",
    )


def prove(stage: Stage) -> Told:
    """Custody is booked from the bank's statement; then every figure of the proof must agree."""
    for _ in range(ROUNDS_MAX):
        _book_custody(stage)
        proof = stage.staff.get("/v1/ops/ledger/proof")
        if proof["custody_equals_owed"]:
            break
    figures = {name: yuan(proof[name]) for name in PROOF_FIGURES}
    require_equal("ledger's sum", proof["sum_fen"], 0)
    require_equal("ledger's credits", proof["credits_fen"], proof["debits_fen"])
    require_equal("owed to citizens and merchants", proof["owed_fen"], proof["custody_fen"])
    require_equal("the bank's report", proof["bank_reported_fen"], proof["custody_fen"])
    verdict = proof["balanced"], proof["custody_equals_owed"]
    require_equal("the proof's own verdict", verdict, (True, True))
    custody = figures["custody_fen"]
    return Told(
        f"借贷之和 0，备付金 {custody} 元 = 应付 = 银行报告",
        f"sum 0, custody {custody} yuan = owed = the bank's report",
    )


def statement(stage: Stage, page_lines: int = PAGE_LINES) -> tuple[list[Movement], dict[str, int]]:
    """All lines of the story's days, newest first, and the sums the backend tells for them."""
    lines: list[Movement] = []
    sums: dict[str, int] = {}
    for day in _days(stage.began_on, today()):
        totals: dict[str, int] = {}
        for page in _pages(stage, day, page_lines):
            totals = page["totals"]
            lines += [
                Movement(line["code"], line["amount_fen"], line["reference"])
                for line in page["data"]
            ]
        sums = {name: sums.get(name, 0) + amount for name, amount in totals.items()}
    return lines, sums


def _pages(stage: Stage, day: date, page_lines: int) -> Iterator[dict[str, Any]]:
    query = {"limit": str(page_lines)}
    for _ in range(PAGES_MAX):
        page = stage.merchant.get(f"/v1/merchant/statements/{day.isoformat()}", query)
        require_equal("statement's merchant", page["merchant_id"], stage.merchant_id)
        yield dict(page)
        if page["next"] is None:
            return
        query["after"] = page["next"]
    raise StoryFailed(f"the statement of {day} has no last page")


def _days(first: date, last: date) -> list[date]:
    """Newest first: a story that plays at midnight has two."""
    return [last - timedelta(days=back) for back in range((last - first).days + 1)]


def _book_custody(stage: Stage) -> None:
    """Today's statement of the bank; where money is still under way, earlier days' too."""
    for back in range(DAYS_BACK_MAX):
        day = today() - timedelta(days=back)
        body = {"business_date": day.isoformat()}
        match = stage.staff.post("/v1/ops/custody/reconciliations", body)
        require_equal(f"top-ups of {day} that nobody asked for", match["unmatched"], [])
        proof = stage.staff.get("/v1/ops/ledger/proof")
        is_done = proof["channel_receivable_fen"] == 0 and day <= stage.began_on
        if is_done:
            return
