"""Mutated bytes by the million against whatever reads bytes: `python -m tools.fuzz`."""
