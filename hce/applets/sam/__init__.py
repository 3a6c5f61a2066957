"""A terminal's SAM in software, as a card: so that a SAM in a slot can be tried without one."""

from hce.applets.sam.applet import MemoryTallyStore, SamApplet, SamFace, TallyStore
from hce.applets.sam.disk import TallyDisk

__all__ = ["MemoryTallyStore", "SamApplet", "SamFace", "TallyDisk", "TallyStore"]
