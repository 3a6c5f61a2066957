"""Payments: authorise, capture, void, refund, reverse; one room for taps, codes and links."""

from backend.payments.model import Payment, PaymentUnknown
from backend.payments.service import Payments
from backend.payments.statements import Statements

__all__ = ["Payment", "PaymentUnknown", "Payments", "Statements"]
