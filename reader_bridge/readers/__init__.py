"""Ways to reach a card: one port, several readers behind it."""
