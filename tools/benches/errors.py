"""What ends a bench without figures; each bench prints it as one line."""

from __future__ import annotations


class BenchFailed(Exception):
    """A figure would be wrong: something was lost, refused, not there, or did not start."""
