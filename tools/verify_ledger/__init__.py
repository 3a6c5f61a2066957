"""Proves an exported journal without the city: imports nothing of the backend.

Written from docs/protocol/journal-export.md alone, so that a mistake of the one who seals is not
repeated by the one who checks. The standard library, and `cryptography` for signatures.
"""
