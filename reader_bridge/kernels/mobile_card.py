"""The kernel of the mobile card (design A.2): from a card in the field to a proof of who pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from card_protocol import tlv
from card_protocol.commands import GetProcessingOptions, ReadRecord
from card_protocol.errors import MalformedBytes
from card_protocol.fci import TAG_FCI, TAG_PROPRIETARY, parse_pdol
from card_protocol.mobile_card import (
    TAG_AMOUNT,
    TAG_CURRENCY,
    TAG_DATE,
    TAG_MERCHANT_NUMBER,
    TAG_PDOL,
    TAG_TERMINAL_NUMBER,
    TAG_TIME,
    TAG_TRANSACTION_TYPE,
    TAG_UNPREDICTABLE_NUMBER,
    Certificate,
    GpoResponse,
    Suite,
    TransactionData,
    is_signed_by_device,
    verify_certificate,
)
from reader_bridge.exchange import Exchange, require_done
from reader_bridge.faults import CardFault
from reader_bridge.kernels.selection import AcceptedApplication, Kernel, Selected, select

RECORDS_MAX: Final = 4

_NUMERIC_TAGS: Final = frozenset(
    {TAG_AMOUNT, TAG_CURRENCY, TAG_DATE, TAG_TIME, TAG_TRANSACTION_TYPE}
)


IssuerKeys = Mapping[tuple[Suite, int], bytes]
"""(suite, index) -> SEC1 point on the suite's curve: an index alone names nothing."""


@dataclass(frozen=True, slots=True)
class TapProof:
    """What a genuine card said to one sale; the issuer checks the cryptogram inside."""

    pdol_data: bytes
    gpo_response: bytes  # template 77 as the card gave it
    certificate: Certificate
    application: AcceptedApplication


def tap(
    exchange: Exchange,
    transaction: TransactionData,
    accepted: Sequence[AcceptedApplication],
    issuer_keys: IssuerKeys,
) -> TapProof:
    """One tap: directory, selection, GPO, certificate, checks that need no network.

    A certificate whose suite and index are not among `issuer_keys` is left for the issuer to
    judge. Times come from `transaction` only through the issuer: validity is
    checked by `require_valid_at`. Raises CardFault or ReaderFault; costs the card at most one ATC.
    """
    spoken = [item for item in accepted if item.kernel is Kernel.MOBILE_CARD]
    return tap_selected(exchange, transaction, select(exchange, spoken), issuer_keys)


def tap_selected(
    exchange: Exchange,
    transaction: TransactionData,
    selected: Selected,
    issuer_keys: IssuerKeys,
) -> TapProof:
    """The same for an application that was selected already."""
    try:
        pdol_data = _requested_data(selected.fci, transaction)
        body = _processing_options(exchange, pdol_data)
        response = GpoResponse.decode(body)
        certificate = _certificate(exchange, response.afl)
        _check(pdol_data, response, certificate, issuer_keys)
    except MalformedBytes:
        raise CardFault("card_answer_malformed") from None
    return TapProof(pdol_data, body, certificate, selected.application)


def require_valid_at(certificate: Certificate, unix_seconds: int) -> None:
    """Raises CardFault(certificate_expired, certificate_not_yet_valid)."""
    if unix_seconds < certificate.not_before:
        raise CardFault("certificate_not_yet_valid")
    if unix_seconds > certificate.not_after:
        raise CardFault("certificate_expired")


def build_pdol_data(pdol: bytes, values: Mapping[int, bytes]) -> bytes:
    """The bytes a card asks for, by the rules of EMV Book 3, 5.4.

    Unknown tags are zeros. A value that is too long loses its left end when numeric, else its
    right end; a short one gets zeros on the left when numeric, else on the right.
    Raises MalformedBytes for a list that is none.
    """
    data = b""
    for tag, length in parse_pdol(pdol):
        value = values.get(tag, b"")
        if tag in _NUMERIC_TAGS:
            data += value[max(0, len(value) - length) :].rjust(length, b"\0")
        else:
            data += value[:length].ljust(length, b"\0")
    return data


def _requested_data(fci: bytes, transaction: TransactionData) -> bytes:
    """What the card asked for; refused before GPO, so without an ATC, if that is not a sale.

    The issuer takes exactly these 42 bytes in this order: what it cannot read binds nobody.
    """
    pdol = tlv.get(fci, (TAG_FCI, TAG_PROPRIETARY, TAG_PDOL))
    data = build_pdol_data(pdol, _values(transaction))
    if data != transaction.encode():
        raise CardFault("card_request_unknown")
    return data


def _values(transaction: TransactionData) -> dict[int, bytes]:
    return {
        TAG_AMOUNT: bytes.fromhex(f"{transaction.amount_fen:012d}"),
        TAG_CURRENCY: transaction.currency.to_bytes(2),
        TAG_DATE: transaction.date,
        TAG_TIME: transaction.time,
        TAG_TRANSACTION_TYPE: transaction.transaction_type.to_bytes(1),
        TAG_UNPREDICTABLE_NUMBER: transaction.unpredictable_number,
        TAG_TERMINAL_NUMBER: transaction.terminal_number.encode("ascii"),
        TAG_MERCHANT_NUMBER: transaction.merchant_number.encode("ascii"),
    }


def _processing_options(exchange: Exchange, pdol_data: bytes) -> bytes:
    command = GetProcessingOptions(pdol_data).to_apdu()
    return require_done(exchange.send("get_processing_options", command))


def _certificate(exchange: Exchange, afl: bytes) -> Certificate:
    """The certificate among the first RECORDS_MAX records of the AFL (EMV Book 3, 10.2)."""
    places = [
        (afl[at] >> 3, number)
        for at in range(0, len(afl), 4)
        for number in range(afl[at + 1], min(afl[at + 2], afl[at + 1] + RECORDS_MAX) + 1)
    ]
    for sfi, number in places[:RECORDS_MAX]:
        command = ReadRecord(sfi, number).to_apdu()
        record = require_done(exchange.send("read_record", command))
        try:
            return Certificate.decode(record)
        except MalformedBytes:
            continue  # other records may stand beside the certificate
    raise CardFault("certificate_missing")


def _check(
    pdol_data: bytes,
    response: GpoResponse,
    certificate: Certificate,
    issuer_keys: IssuerKeys,
) -> None:
    """Raises CardFault for a card that did not make this answer, or that nobody vouched for."""
    if certificate.token_number != response.token_number:
        raise CardFault("certificate_of_another_card")
    issuer_key = issuer_keys.get((certificate.suite, certificate.issuer_key_index))
    if issuer_key is not None and not verify_certificate(certificate, issuer_key):
        raise CardFault("certificate_not_genuine")
    if response.iad.suite is not certificate.suite:
        raise CardFault("card_suite_unknown")
    if not is_signed_by_device(certificate, pdol_data, response):
        raise CardFault("signature_invalid")
