"""How to talk to each kind of card: commands and proofs, no network and no journal."""
