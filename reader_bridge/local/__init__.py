"""The terminal's own HTTP on loopback: for the cash register, and a page for who has none.

This is the door. Knows the till, and neither cards nor the journal; of the backend only its faults.
"""

from reader_bridge.local.app import make_local
from reader_bridge.local.server import LocalServer, serve
from reader_bridge.local.settings import Health, LocalSettings
from reader_bridge.local.token import load_or_make_token

__all__ = [
    "Health",
    "LocalServer",
    "LocalSettings",
    "load_or_make_token",
    "make_local",
    "serve",
]
