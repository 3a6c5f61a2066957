"""Writes a report down for a person: lines of text in one language, personal data hidden.

Personal are the holder's name and identity number, the middle of a card number, and where somebody
was (terminal, line, station). Date, kind and amount stay: they are what the page is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from card_protocol.certificate import Certificate
from card_protocol.epurse.files import JourneyRecord, LogRecord, PublicData
from card_protocol.epurse.transactions import TERMINAL_BYTES
from card_protocol.status import StatusWord, meaning_of
from hce.inspect import shapes
from hce.inspect.applications import BY_AID, CITY_UNION_REGIONS, PROVIDERS, T_UNION_REGIONS
from hce.inspect.shapes import CompoundRecord
from hce.inspect.survey import (
    ApplicationView,
    CardReport,
    DirectoryView,
    FileView,
    MobileCardView,
    PurseView,
)
from hce.inspect.words import (
    CARD_KINDS,
    JOURNEY_KINDS,
    TRANSACTION_KINDS,
    VEHICLES,
    WORDS,
    Language,
    said,
)

__all__ = ["Language", "lines_of"]

FEN_PER_YUAN = 100


def lines_of(
    report: CardReport, reader: str, language: Language, *, show_personal: bool = False
) -> list[str]:
    """The page about one card."""
    return list(_Page(language, show_personal).card(report, reader))


def masked(number: str) -> str:
    """First six and last four; of a short one the last two."""
    if len(number) < 14:
        return "*" * max(0, len(number) - 2) + number[-2:]
    return number[:6] + "*" * (len(number) - 10) + number[-4:]


def told_hex(body: bytes) -> str:
    return body.hex().upper()


@dataclass(frozen=True, slots=True)
class _Page:
    language: Language
    show_personal: bool

    def card(self, report: CardReport, reader: str) -> Iterator[str]:
        yield self.pair("reader", reader)
        yield f"ATR: {report.atr.hex(' ').upper()}"
        for directory in report.directories:
            yield self.directory(directory)
        for application in report.applications:
            yield ""
            yield from self.application(application)
        if not any(application.content for application in report.applications):
            yield ""
            yield from self.unknown(report)

    def word(self, key: str, **values: object) -> str:
        return WORDS[key][self.language].format(**values)

    def pair(self, key: str, value: str) -> str:
        return f"{self.word(key)}: {value}"

    def sw(self, sw: int | None) -> str:
        if sw is None:
            return self.word("no_answer")
        meaning = meaning_of(sw)
        text = meaning.zh_cn if self.language is Language.ZH else meaning.en
        return f"{sw:04X} {text}"

    def directory(self, view: DirectoryView) -> str:
        name = view.name.decode("ascii")
        if not view.listed:
            found = view.sw == StatusWord.OK
            what = self.word("listed", count=0) if found else self.word("absent")
            return self.pair("directory", f"{name}: {what}")
        labels = ", ".join(one.label or one.aid.hex().upper() for one in view.listed)
        what = self.word("listed", count=len(view.listed))
        return self.pair("directory", f"{name}: {what} ({labels})")

    def application(self, view: ApplicationView) -> Iterator[str]:
        label = f" [{view.label}]" if view.label else ""
        yield self.pair("application", f"{self.name_of(view.aid)}{label} {view.aid.hex().upper()}")
        yield "  " + self.pair("state", self.state(view.sw))
        match view.content:
            case PurseView() as purse:
                yield from ("  " + line for line in self.purse(purse))
            case MobileCardView() as mobile:
                yield from ("  " + line for line in self.mobile_card(mobile))
            case _ if view.sw == StatusWord.OK:
                yield "  " + self.word("not_read")

    def name_of(self, aid: bytes) -> str:
        known = BY_AID.get(aid)
        if known is not None:
            return said((known.zh, known.en), self.language)
        return said(PROVIDERS.get(aid[:5], self.both("unnamed")), self.language)

    def both(self, key: str) -> tuple[str, str]:
        return WORDS[key][Language.ZH], WORDS[key][Language.EN]

    def state(self, sw: int | None) -> str:
        if sw == StatusWord.OK:
            return self.word("usable")
        if sw == StatusWord.WARNING_BLOCKED:
            return f"{self.word('blocked')} ({sw:04X})"
        return self.sw(sw)

    def purse(self, view: PurseView) -> Iterator[str]:
        if view.public is not None:
            yield from self.public(view.public)
        if view.management is not None:
            kind = CARD_KINDS.get(view.management.card_type)
            told = said(kind, self.language) if kind else f"{view.management.card_type:02X}"
            yield self.pair("card_kind", told)
        if view.holder is not None and not view.holder.is_empty:
            yield self.pair("holder", self.personal(view.holder.name))
            yield self.pair("identity_number", self.personal(view.holder.identity_number))
        yield from self.balance(view)
        yield from self.listed("log", [self.transaction(one) for one in view.log])
        if view.journeys:
            yield from self.listed("journeys", [self.journey(one) for one in view.journeys])
        if view.compound:
            yield from self.listed("compound", [self.compound(one) for one in view.compound])
        yield from (self.unread(one) for one in view.unread)

    def public(self, data: PublicData) -> Iterator[str]:
        number, begin, end = shapes.number_of(data), self.day(data.start), self.day(data.expiry)
        yield self.pair("number", number if self.show_personal else masked(number))
        yield self.pair("issuer", self.issuer(data))
        yield self.pair("validity", f"{begin} {self.word('to')} {end}")

    def issuer(self, data: PublicData) -> str:
        text, code = data.issuer.hex().upper(), shapes.region_of(data)
        if shapes.is_t_union(data):
            scheme, region = self.word("scheme_t_union"), T_UNION_REGIONS.get(code)
        elif shapes.is_city_union(data):
            scheme, region = self.word("scheme_city_union"), CITY_UNION_REGIONS.get(code)
        else:
            return text
        where = said(region, self.language) if region else code
        return f"{scheme} {where} ({text})"

    def balance(self, view: PurseView) -> Iterator[str]:
        if view.balance_fen is None:
            yield self.pair("balance", self.word("unreadable"))
            return
        yield self.pair("balance", self.money(view.balance_fen))
        if view.spendable_fen not in {None, view.balance_fen}:
            assert view.spendable_fen is not None
            yield self.pair("spendable", self.money(view.spendable_fen))

    def listed(self, key: str, lines: list[str]) -> Iterator[str]:
        yield f"{self.word(key)}: {len(lines) or self.word('none_yet')}"
        yield from ("  " + line for line in lines)

    def transaction(self, record: LogRecord) -> str:
        kind = TRANSACTION_KINDS.get(record.kind)
        told = said(kind, self.language) if kind else f"TTI {record.kind:02X}"
        sign = "+" if shapes.is_top_up(record) else "-"
        parts = [
            self.moment(shapes.moment_of(record.moment)),
            told,
            sign + self.money(record.amount_fen),
        ]
        parts.append(f"{self.word('sequence')} {record.sequence}")
        if self.show_personal:
            parts.append(f"{self.word('terminal')} {told_hex(record.terminal)}")
        return "  ".join(parts)

    def journey(self, record: JourneyRecord) -> str:
        vehicle, kind = VEHICLES.get(record.vehicle), JOURNEY_KINDS.get(record.kind)
        parts = [
            self.moment(shapes.moment_of(record.moment)),
            said(vehicle, self.language) if vehicle else f"{record.vehicle:02X}",
            said(kind, self.language) if kind else f"{record.kind:02X}",
            "-" + self.money(record.amount_fen),
            f"{self.word('left')} {self.money(record.balance_fen)}",
        ]
        if self.show_personal:
            code = told_hex(record.city)
            city = T_UNION_REGIONS.get(code)
            parts += [
                f"{self.word('city')} {said(city, self.language) if city else code}",
                f"{self.word('line')} {told_hex(record.line)}",
                f"{self.word('station')} {told_hex(record.station)}",
                f"{self.word('terminal')} {told_hex(record.terminal[-TERMINAL_BYTES:])}",
            ]
        return "  ".join(parts)

    def compound(self, record: CompoundRecord) -> str:
        told = f"{self.word('record')} {record.identifier}: {self.word('bytes', count=record.size)}"
        rail = record.rail
        if rail is None:
            return told
        at = rail.entry_at if rail.is_inside else rail.exit_at
        told += f"  {self.word('inside' if rail.is_inside else 'outside')} {self.moment(at)}"
        if self.show_personal:
            station = rail.entry_station if rail.is_inside else rail.exit_station
            told += f"  {self.word('station')} {station}"
        return told

    def unread(self, view: FileView) -> str:
        size = f", {self.word('bytes', count=view.size)}" if view.size else ""
        what = f"{self.word('unreadable')} ({self.sw(view.sw)}{size})"
        return f"{self.word('file')} {view.sfi:02X}: {what}"

    def mobile_card(self, view: MobileCardView) -> Iterator[str]:
        if view.certificate is None:
            yield f"{self.word('no_certificate')} ({self.sw(view.sw)})"
            return
        yield from self.certificate(view.certificate)

    def certificate(self, certificate: Certificate) -> Iterator[str]:
        number = certificate.token_number
        yield self.pair("token", number if self.show_personal else masked(number))
        yield self.pair("product", certificate.product)
        begin, end = (
            datetime.fromtimestamp(one, UTC).strftime("%Y-%m-%d %H:%M UTC")
            for one in (certificate.not_before, certificate.not_after)
        )
        yield self.pair("validity", f"{begin} {self.word('to')} {end}")

    def unknown(self, report: CardReport) -> Iterator[str]:
        yield self.word("unknown_card") + ":"
        yield f"  {self.word('master_file')}: {self.sw(report.master_file_sw)}"
        for aid, sw in report.refused:
            yield f"  {aid.hex().upper()} {self.name_of(aid)}: {self.sw(sw)}"

    def personal(self, text: str) -> str:
        return text if self.show_personal else self.word("hidden")

    def money(self, amount_fen: int) -> str:
        yuan, fen = divmod(amount_fen, FEN_PER_YUAN)
        return self.word("yuan", amount=f"{yuan}.{fen:02d}")

    def moment(self, at: datetime | None) -> str:
        return at.strftime("%Y-%m-%d %H:%M:%S") if at is not None else self.word("no_date")

    def day(self, body: bytes) -> str:
        day = shapes.day_of(body)
        return str(day) if day is not None else self.word("no_date")
