"""The bytes card, terminal and issuer agree on; knows no web, no database, no clock and no I/O."""
