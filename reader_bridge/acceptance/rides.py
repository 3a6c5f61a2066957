"""A ride by code at a gate or in a bus, offline: checked, remembered as used, kept for upload."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from card_protocol.terminal_profile import Mode
from reader_bridge.acceptance.desk import Desk
from reader_bridge.acceptance.knowledge import Known
from reader_bridge.acceptance.sale import Sale, b64u
from reader_bridge.faults import CodeFault
from reader_bridge.modes import Held, MobileTap
from reader_bridge.offline import Refuse, RideGate, SqliteUsedCodes, within_limits
from reader_bridge.offline.rides import USED_FILE
from reader_bridge.receipt import Receipt

# A ride code asks neither its holder nor the network: it pays for rides and nothing else.
RIDES: Final = frozenset({Mode.BUS, Mode.GATE})


class RideFlow:
    """Not for several threads at once. Used codes are remembered in a file of the folder."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk, self._folder = desk, folder
        self._used: SqliteUsedCodes | None = None
        self._gate: tuple[Known, RideGate] | None = None

    def close(self) -> None:
        if self._used is not None:
            self._used.close()

    def sell(self, sale: Sale, code: bytes) -> Receipt:
        """Raises CodeFault, TerminalFault: nothing was kept."""
        if not sale.book.takes_ride_codes:
            is_gate = sale.book.terms.mode is Mode.GATE
            raise CodeFault("ride_code_needs_flat_fare" if is_gate else "ride_code_not_accepted")
        known, profile = sale.known, sale.known.profile
        if profile is None or profile.ride_codes is None or known.mode not in RIDES:
            raise CodeFault("ride_code_not_accepted")
        accepted = self._gate_of(known).check(code, sale.at)
        card_key = f"token:{accepted.part.card_number}"
        last_at = sale.find_last_ride_at(self._desk.journal, card_key)
        said = sale.decided(MobileTap(is_online=False, last_ride_at=last_at))
        if isinstance(said, Held):
            return self._desk.passing(sale.reference, "ride_code", None, said)
        if said.fare is not None and said.is_free:
            return self._desk.passing(sale.reference, "ride_code", None, said.fare)
        ride_max_fen = accepted.part.ride_max_fen
        if said.amount_fen > ride_max_fen:  # above it the backend pays nobody
            over = Refuse("offline_sale_too_large", ride_max_fen)
            return self._desk.refusal(over.fault(), said.amount_fen, sale.reference)
        return self._keep(said, code, card_key)

    def _keep(self, sale: Sale, code: bytes, card_key: str) -> Receipt:
        known, profile = sale.known, sale.known.profile
        assert profile is not None
        usage = self._desk.journal.usage(card_key, sale.at)
        limits = within_limits(sale.amount_fen, profile, known.deny_list, usage, sale.at)
        if isinstance(limits, Refuse):
            return self._desk.refusal(limits.fault(), sale.amount_fen, sale.reference)
        draft = sale.draft("ride_code", None)
        body_of = sale.offline_body(draft, {"kind": "ride_code", "code": b64u(code)})
        entry, is_new, stored = self._desk.timed(
            lambda: self._desk.journal.accept_new(draft, card_key, body_of, sale.at)
        )
        if not is_new:
            return self._desk.told_again(entry, sale.amount_like(entry))
        self._desk.wake()
        return self._desk.receipt(entry, stored, fare=sale.fare)

    def _gate_of(self, known: Known) -> RideGate:
        """Made anew when profile or deny list changed."""
        if self._gate is None or self._gate[0] is not known:
            if self._used is None:
                self._used = SqliteUsedCodes(self._folder / USED_FILE)
            self._gate = known, RideGate(known.profile, known.deny_list, self._used)
        return self._gate[1]
