"""What ends a chaos run: one sentence about the promise that was broken."""

from __future__ import annotations


class ChaosFailed(Exception):
    """A promise was broken, or the service did not come back in time."""
