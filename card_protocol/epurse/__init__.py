"""The contactless e-purse (JR/T 0025, CJ/T 166, JT/T 978) in bytes; knows no card, no terminal."""
