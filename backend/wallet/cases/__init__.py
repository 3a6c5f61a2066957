"""Cases: differences somebody must look into, each with its kind, until a person explains it."""

from backend.wallet.cases.model import Case, CaseKind, CaseState, CaseUnknown, ExplainCase
from backend.wallet.cases.records import open_case, subject_of, want_case

__all__ = [
    "Case",
    "CaseKind",
    "CaseState",
    "CaseUnknown",
    "ExplainCase",
    "open_case",
    "subject_of",
    "want_case",
]
