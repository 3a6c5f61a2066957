"""A fitter's check list: each line OK or FAIL, with what to do. This is the door."""

from reader_bridge.selftest.lines import ADVICE, TITLES, Line, Verdict
from reader_bridge.selftest.run import Plan, run

__all__ = ["ADVICE", "TITLES", "Line", "Plan", "Verdict", "run"]
