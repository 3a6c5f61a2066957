"""A SAM in a card slot (design B.1.10), over any card channel; knows no key and no PC/SC."""

from __future__ import annotations

from typing import Final

from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.epurse.sam import (
    FOLDER,
    finish,
    read_key_index,
    read_terminal_number,
    select_folder,
)
from card_protocol.epurse.transactions import TERMINAL_BYTES
from card_protocol.errors import MalformedBytes
from card_protocol.status import StatusWord
from reader_bridge.exchange import Exchange
from reader_bridge.faults import CardFault, ReaderFault, SamFault
from reader_bridge.readers.port import CardChannel
from reader_bridge.sam.port import SamOffer, SamRequest, Verified

# UNSURE which words SAMs of the field have for these.
KEY_UNKNOWN: Final = frozenset({StatusWord.KEY_INDEX_NOT_SUPPORTED, StatusWord.DATA_NOT_FOUND})
LOCKED: Final = frozenset({StatusWord.PIN_BLOCKED, StatusWord.APPLICATION_LOCKED})


class PcscSam:
    """A selected SAM. After SamFault(sam_lost) it has to be opened anew.

    `sends_issuer`: 80 70 with Lc 24, for SAMs whose masters are the nation's. `is_test`: the
    fitter put a trial SAM in; a SAM does not tell.
    """

    def __init__(
        self,
        channel: CardChannel,
        *,
        folder: int = FOLDER,
        sends_issuer: bool = False,
        is_test: bool = False,
    ) -> None:
        """Selects and reads the SAM's name. Raises SamFault(sam_missing, sam_lost, sam_failed)."""
        self._channel, self._sends_issuer, self._is_test = channel, sends_issuer, is_test
        self._begun: SamOffer | None = None
        if self._send(select_folder(folder)).sw == StatusWord.FILE_NOT_FOUND:
            raise SamFault("sam_missing", reason=f"{folder:04X}")
        self._terminal = self._read(read_terminal_number(), TERMINAL_BYTES)
        self._key_index = self._read(read_key_index(), 1)[0]

    @property
    def is_test(self) -> bool:
        return self._is_test

    def read_terminal_number(self) -> bytes:
        return self._terminal

    def key_index(self) -> int:
        return self._key_index

    def begin_purchase(self, request: SamRequest) -> SamOffer:
        self._begun = None
        answer = self._send(self._sent_form(request).to_apdu())
        if answer.sw in KEY_UNKNOWN:
            raise CardFault("card_key_unknown")
        try:
            offer = SamOffer.decode(_done(answer))
        except MalformedBytes:
            raise SamFault("sam_failed", status="malformed") from None
        self._begun = offer
        return offer

    def finish_purchase(self, mac2: bytes) -> Verified:
        begun, self._begun = self._begun, None
        if begun is None:
            raise SamFault("sam_session_gone")
        answer = self._send(finish(mac2))
        if answer.sw == StatusWord.MAC_INVALID:
            raise CardFault("card_false_mac")
        if answer.sw == StatusWord.COMMAND_NOT_ACCEPTABLE:
            raise SamFault("sam_session_gone")
        _done(answer)
        return Verified(begun.terminal_serial)

    def prove_purchase(self, request: SamRequest, offer: SamOffer, mac2: bytes) -> Verified:
        """A SAM in a slot remembers the purchase begun last, until it loses power."""
        if self._begun != offer:
            raise SamFault("sam_session_gone")
        return self.finish_purchase(mac2)

    def close(self) -> None:
        self._channel.close()

    def _sent_form(self, request: SamRequest) -> SamRequest:
        body = request.encode()
        return request if self._sends_issuer else SamRequest.decode(body[: request.DATA_BYTES])

    def _read(self, command: CommandApdu, size: int) -> bytes:
        data = _done(self._send(command))
        if len(data) != size:
            raise SamFault("sam_failed", status="malformed")
        return data

    def _send(self, command: CommandApdu) -> ResponseApdu:
        """A card's words for trouble become the SAM's own: the card in the field is innocent."""
        try:
            return Exchange(self._channel).send("sam", command)
        except (ReaderFault, CardFault) as fault:
            self._begun = None
            raise SamFault("sam_lost", reason=fault.code) from None


def _done(answer: ResponseApdu) -> bytes:
    if answer.sw in LOCKED:
        raise SamFault("sam_locked")
    if answer.sw == StatusWord.COUNTER_AT_MAXIMUM:
        raise SamFault("sam_counter_spent")
    if answer.sw != StatusWord.OK:
        raise SamFault("sam_failed", status=f"{answer.sw:04X}")
    return answer.data
