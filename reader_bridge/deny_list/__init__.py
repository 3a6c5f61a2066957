"""The deny list at the terminal: kept on the disk, read in place, brought up to date."""

from reader_bridge.deny_list.keeper import DenyListKeeper
from reader_bridge.deny_list.store import DenyListStore

__all__ = ["DenyListKeeper", "DenyListStore"]
