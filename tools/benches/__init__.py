"""How fast the ledger and the payments are, as ratios to peers measured in the same run."""
