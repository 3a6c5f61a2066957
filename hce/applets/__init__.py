"""The applications a card in software can carry, one module each."""
