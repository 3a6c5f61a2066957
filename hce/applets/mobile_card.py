"""The mobile card (design A.2): SELECT, GET PROCESSING OPTIONS, READ RECORD; holds no money.

Status words of GET PROCESSING OPTIONS, in the order they are decided:

    6A86  P1 or P2 is not 00
    6985  this selection has made its cryptogram
    6700  no data, or the PDOL data has not 42 bytes
    6A80  not template 83, or a field that cannot be (BCD, date, type, text), or not in yuan
    6985  suspended · no limited-use key, or none left · key expired · ATC at FFFF
    9000  done: one ATC is spent

A suspended card also answers SELECT with 6283 and its FCI, as terminals know it of blocked cards;
one the device holds no more answers SELECT with 6985. The other reasons of 6985 in the list mean
"open the app, go online": the app can tell its holder which one it was. A device that cannot
sign in its card's suite was set up wrongly: 6F00 before anything is counted, and a line in the
log.
"""

from __future__ import annotations

from card_protocol import tlv
from card_protocol.apdu import CommandApdu, ResponseApdu
from card_protocol.commands import GetProcessingOptions, ReadRecord
from card_protocol.errors import MalformedBytes, SuiteNotSupported
from card_protocol.fci import ApplicationFci
from card_protocol.mobile_card import (
    AFL,
    AIP,
    CERTIFICATE_RECORD,
    CERTIFICATE_SFI,
    CRYPTOGRAM_INFORMATION_ONLINE,
    MOBILE_CARD_AID,
    MOBILE_CARD_LABEL,
    PDOL,
    PDOL_DATA_BYTES,
    TAG_COMMAND_TEMPLATE,
    GpoResponse,
    HolderCheck,
    IssuerApplicationData,
    TransactionData,
    compute_cryptogram,
    cryptogram_input,
    signature_input,
)
from card_protocol.status import StatusWord
from hce.applet import refuse, refuse_unknown
from hce.errors import CardRefusal, CardSuspended, KeyExpired, NoKeysLeft
from hce.ports import CardStore, CardView, Clock, HolderChecker, LimitedUseKey, Signer

PROGRAMME_ID = bytes.fromhex("01560001")  # ISO 3166 numeric country, our first programme
CURRENCY = 0x0156
SEQUENCE = 0  # one device holds a token, so 5F34 never tells two apart

_GPO = (GetProcessingOptions.HEADER[0], GetProcessingOptions.HEADER[1])
_READ_RECORD = (ReadRecord.CLA, ReadRecord.INS)


class MobileCardApplet:
    """One token on one device; everything that lasts is behind the ports."""

    def __init__(
        self,
        store: CardStore,
        signer: Signer,
        *,
        holder_check: HolderChecker,
        now: Clock,
        aid: bytes = MOBILE_CARD_AID,
        label: str = MOBILE_CARD_LABEL,
        programme_id: bytes = PROGRAMME_ID,
    ) -> None:
        """Raises `MalformedBytes` "fci_malformed" for a name that no card can have."""
        self.aid = aid
        self.label = label
        self._store = store
        self._signer = signer
        self._holder_check = holder_check
        self._now = now
        self._fci = ApplicationFci(aid, label, PDOL, programme_id).encode()
        self._has_answered = False

    def select(self) -> ResponseApdu:
        self._has_answered = False
        try:
            is_suspended = self._store.view().is_suspended
        except CardRefusal:  # the device holds this card no more
            return refuse(StatusWord.CONDITIONS_NOT_MET)
        return ResponseApdu(
            self._fci, StatusWord.WARNING_BLOCKED if is_suspended else StatusWord.OK
        )

    def process(self, command: CommandApdu) -> ResponseApdu:
        name = (command.cla, command.ins)
        if name == _GPO:
            return self._get_processing_options(command)
        if name == _READ_RECORD:
            return self._read_record(command)
        return refuse_unknown(command)

    def _get_processing_options(self, command: CommandApdu) -> ResponseApdu:
        if command.header != GetProcessingOptions.HEADER:
            return refuse(StatusWord.WRONG_P1_P2)
        if self._has_answered:
            return refuse(StatusWord.CONDITIONS_NOT_MET)
        pdol_data = _pdol_data(command.data)
        if isinstance(pdol_data, StatusWord):
            return refuse(pdol_data)
        try:
            answer = self._answer(pdol_data)
        except CardRefusal:
            return refuse(StatusWord.CONDITIONS_NOT_MET)
        return ResponseApdu(answer, StatusWord.OK)

    def _answer(self, pdol_data: bytes) -> bytes:
        """The cryptogram and signature for one ATC. Raises CardRefusal: then none was spent."""
        token_number = self._require_usable().token_number
        holder_check = self._holder_check()
        atc, key = self._store.take_counter()
        # The ATC is stored and spent: from here on nothing may refuse, and no second try is given.
        self._has_answered = True
        return self._proof(pdol_data, token_number, atc, key, holder_check).encode()

    def _require_usable(self) -> CardView:
        """What can be told before an ATC is spent. Raises CardRefusal, SuiteNotSupported."""
        view = self._store.view()
        if view.is_suspended:
            raise CardSuspended
        if view.key is None:
            raise NoKeysLeft
        if not view.key.is_valid_at(self._now()):
            raise KeyExpired
        if not view.key.suite is view.certificate.suite is self._signer.suite:
            raise SuiteNotSupported("key, certificate and signer are of one suite")
        return view

    def _proof(
        self,
        pdol_data: bytes,
        token_number: str,
        atc: int,
        key: LimitedUseKey,
        holder_check: HolderCheck,
    ) -> GpoResponse:
        iad = IssuerApplicationData(key.suite, key.version, key.index, holder_check)
        cryptogram = compute_cryptogram(
            key.suite, key.value, cryptogram_input(pdol_data, AIP, atc, iad.encode())
        )
        signed = signature_input(pdol_data, AIP, atc, iad.encode(), cryptogram)
        return GpoResponse(
            aip=AIP,
            afl=AFL,
            token_number=token_number,
            sequence=SEQUENCE,
            atc=atc,
            cryptogram_information=CRYPTOGRAM_INFORMATION_ONLINE,
            iad=iad,
            cryptogram=cryptogram,
            signature=self._signer.sign(signed),
        )

    def _read_record(self, command: CommandApdu) -> ResponseApdu:
        if command.data:
            return refuse(StatusWord.WRONG_LENGTH)
        if command.p2 & 0x07 != 0x04:  # only "record number in P1" (ISO/IEC 7816-4, 11.3.3)
            return refuse(StatusWord.WRONG_P1_P2)
        if (command.p2 >> 3, command.p1) != (CERTIFICATE_SFI, CERTIFICATE_RECORD):
            return refuse(StatusWord.RECORD_NOT_FOUND)
        try:
            certificate = self._store.view().certificate
        except CardRefusal:
            return refuse(StatusWord.CONDITIONS_NOT_MET)
        return ResponseApdu(certificate.encode(), StatusWord.OK)


def _pdol_data(data: bytes) -> bytes | StatusWord:
    """The 42 bytes a terminal sent, or why they are none."""
    if not data:
        return StatusWord.WRONG_LENGTH
    try:
        (pdol_data,) = tlv.values_in_order(data, (TAG_COMMAND_TEMPLATE,), "gpo_malformed")
        if len(pdol_data) != PDOL_DATA_BYTES:
            return StatusWord.WRONG_LENGTH
        transaction = TransactionData.decode(pdol_data)
    except MalformedBytes:
        return StatusWord.WRONG_DATA
    return pdol_data if transaction.currency == CURRENCY else StatusWord.WRONG_DATA
