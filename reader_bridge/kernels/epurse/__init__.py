"""The kernel of the e-purse: a pure flow over a card and a SAM; keeps nothing itself."""

from reader_bridge.kernels.epurse.facts import (
    PurseFacts,
    Terms,
    find_record,
    moment_at,
    read,
    read_journeys,
    read_log,
    require_usable,
    with_newest,
)
from reader_bridge.kernels.epurse.load import load, recover_load
from reader_bridge.kernels.epurse.load_values import (
    LoadAuthorisation,
    LoadHost,
    LoadIntent,
    LoadLost,
    LoadRequest,
    NotWritten,
    PurseLoad,
    TornLoad,
)
from reader_bridge.kernels.epurse.purchase import compound, purchase
from reader_bridge.kernels.epurse.recovery import recover
from reader_bridge.kernels.epurse.values import (
    CappRecord,
    Intent,
    Lost,
    NotTaken,
    OtherCard,
    PurseSale,
    Torn,
)

__all__ = [
    "CappRecord",
    "Intent",
    "LoadAuthorisation",
    "LoadHost",
    "LoadIntent",
    "LoadLost",
    "LoadRequest",
    "Lost",
    "NotTaken",
    "NotWritten",
    "OtherCard",
    "PurseFacts",
    "PurseLoad",
    "PurseSale",
    "Terms",
    "Torn",
    "TornLoad",
    "compound",
    "find_record",
    "load",
    "moment_at",
    "purchase",
    "read",
    "read_journeys",
    "read_log",
    "recover",
    "recover_load",
    "require_usable",
    "with_newest",
]
