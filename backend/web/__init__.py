"""The edge of HTTP: who calls, what shape, which language, which answer. Knows no domain."""

from backend.web.access import Caller, CallerKind, access, caller
from backend.web.assertions import ProofInvalid, check_proof, jwk_to_key
from backend.web.commands import command
from backend.web.conditional import Tagged, conditional
from backend.web.describe import refuses
from backend.web.fields import B64u, EcKey, Fen, Moment, Sm2Key, StrictInteger, TypeIdField
from backend.web.pages import Page, PageArguments, page_schema
from backend.web.schemas import EmptyShape, Shape
from backend.web.services import service
from backend.web.tokens import AccessTokens

__all__ = [
    "AccessTokens",
    "B64u",
    "Caller",
    "CallerKind",
    "EcKey",
    "EmptyShape",
    "Fen",
    "Moment",
    "Page",
    "PageArguments",
    "ProofInvalid",
    "Shape",
    "Sm2Key",
    "StrictInteger",
    "Tagged",
    "TypeIdField",
    "access",
    "caller",
    "check_proof",
    "command",
    "conditional",
    "jwk_to_key",
    "page_schema",
    "refuses",
    "service",
]
