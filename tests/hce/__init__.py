"""The card in software, tested."""
