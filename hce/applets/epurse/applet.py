"""The purse as the card sees it: keeps what a command changed, then lets the answer go."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Protocol

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.status import StatusWord
from hce.applet import refuse
from hce.applets.epurse.context import RandomBytes
from hce.applets.epurse.session import FRESH
from hce.applets.epurse.state import PurseState
from hce.applets.epurse.step import DEAD, select, step


class PurseStore(Protocol):
    """Where a purse lives. What either method raises shuts the card until reset."""

    def view(self) -> PurseState:
        """The state as it was last committed."""

    def commit(self, state: PurseState) -> None:
        """Durable when it returns; a cut in between leaves the old state or the new one, whole."""


class EpurseApplet:
    """One purse behind a store; the card sends it one command at a time."""

    def __init__(self, store: PurseStore, *, random_bytes: RandomBytes = secrets.token_bytes):
        self._store = store
        self._random_bytes = random_bytes
        self._session = FRESH
        face = store.view().face
        self.aid, self.label, self.file_id = face.aid, face.label, face.file_id

    def select(self) -> ResponseApdu:
        self._session = FRESH
        return select(self._store.view())

    def select_file(self, file_id: int) -> ResponseApdu:
        """A file inside the application, by its id (the short one); ends a transaction."""
        self._session = self._session.without_transaction()
        state = self._store.view()
        if (sw := DEAD.get(state.life)) is not None:
            return refuse(sw)
        if state.find_file(file_id) is None:
            return refuse(StatusWord.FILE_NOT_FOUND)
        self._session = replace(self._session, current_sfi=file_id)
        return ResponseApdu(b"", StatusWord.OK)

    def process(self, command: CommandApdu) -> ResponseApdu:
        state = self._store.view()
        made = step(state, self._session, command, self._random_bytes)
        if made.state is not state:
            self._store.commit(made.state)
        self._session = made.session
        return made.answer
