"""Whether a sale may be made without asking the backend: pure decisions, in the order of A.2."""

from reader_bridge.offline.codes import require_no_identity_code
from reader_bridge.offline.decision import (
    Accept,
    CertificateCheck,
    GenuineCertificates,
    MobileCardFacts,
    PurseFacts,
    Refuse,
    decide,
    within_limits,
)
from reader_bridge.offline.rides import RideGate, SqliteUsedCodes
from reader_bridge.offline.standing import Level, Standing, standing_of

__all__ = [
    "Accept",
    "CertificateCheck",
    "GenuineCertificates",
    "Level",
    "MobileCardFacts",
    "PurseFacts",
    "Refuse",
    "RideGate",
    "SqliteUsedCodes",
    "Standing",
    "decide",
    "require_no_identity_code",
    "standing_of",
    "within_limits",
]
