"""Ways from a card in software to a terminal, one module each."""
