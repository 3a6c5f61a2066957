"""What goes on behind the counter: uploads, and profile and deny list kept fresh, in one thread."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from reader_bridge.acceptance.knowledge import Knowledge, Known
from reader_bridge.acceptance.line import Line
from reader_bridge.backend_client import BackendClient, Refused, Unreachable
from reader_bridge.clock import Clock
from reader_bridge.faults import TerminalFault
from reader_bridge.forward import Sender, SenderStatus, Step, StepKind, Uploader
from reader_bridge.journal import Backlog, Journal
from reader_bridge.offline import Standing, standing_of

REFRESH_SECONDS: Final = 600.0
REFRESH_AGAIN_SECONDS: Final = 30.0  # after a failure
STEPS_MAX: Final = 10_000  # of one `forward`: a million sales
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TerminalStatus:
    """For a page, a lamp and the fitter."""

    standing: Standing
    profile_version: int | None
    deny_list_version: int | None
    damage: str | None  # code of kept data that could not be read
    backlog: Backlog
    sender: SenderStatus | None  # None: no uploads in the background
    profile_age_seconds: int | None = None  # since it was signed


class KeepingUploader(Uploader):
    """An uploader that refreshes what the terminal knows whenever that is due."""

    def __init__(
        self,
        journal: Journal,
        client: BackendClient,
        clock: Clock,
        knowledge: Knowledge,
        line: Line,
    ) -> None:
        super().__init__(journal, client, clock)
        self._asker, self._elapsed = client, clock.elapsed
        self._knowledge, self._line = knowledge, line
        self._due_at = clock.elapsed()

    def step(self) -> Step:
        """As `Uploader.step`; a refresh that fails is tried again and stops no upload."""
        if self._elapsed() >= self._due_at:
            self._due_at = self._elapsed() + self._refresh()
        step = super().step()
        if step.kind is StepKind.ANSWERED:
            self._line.answered()
        return step

    def _refresh(self) -> float:
        """Seconds until the next one."""
        try:
            known = self._knowledge.refresh(self._asker)
            if known.deny_list is not None:  # its time is the backend's, signed just now
                self._journal.forget(known.deny_list.as_of)
        except (Refused, TerminalFault) as failure:
            _log.warning("profile or deny list not refreshed: %s", failure.code)
            return REFRESH_AGAIN_SECONDS
        except Unreachable as failure:
            _log.info("profile or deny list not refreshed: %s", failure.reason)
            return REFRESH_AGAIN_SECONDS
        return REFRESH_SECONDS


class Forwarding:
    """The background thread with a client of its own; started by making it, ended by `close`."""

    def __init__(self, uploader: KeepingUploader, sender: Sender, client: BackendClient) -> None:
        self._uploader, self.sender, self._client = uploader, sender, client
        sender.start()

    def close(self) -> None:
        """What is not uploaded waits for the next start."""
        self.sender.close()
        self._client.close()


def status_of(
    knowledge: Knowledge | None, journal: Journal, forwarding: Forwarding | None, now: int
) -> TerminalStatus:
    """How it stands at unix second `now`. Raises TerminalFault."""
    known = Known() if knowledge is None else knowledge.now
    return TerminalStatus(
        standing=standing_of(known.profile, known.deny_list, now),
        profile_version=None if known.profile is None else known.profile.version,
        deny_list_version=None if known.deny_list is None else known.deny_list.version,
        damage=None if knowledge is None else knowledge.damage,
        backlog=journal.backlog(now),
        sender=None if forwarding is None else forwarding.sender.status(),
        profile_age_seconds=None
        if known.profile is None
        else max(0, now - known.profile.issued_at),
    )


def forward_all(uploader: Uploader) -> Step:
    """One round in this thread: everything that waits is offered once."""
    step = uploader.step()
    for _ in range(STEPS_MAX):
        if step.kind is not StepKind.ANSWERED:
            break
        step = uploader.step()
    return step
