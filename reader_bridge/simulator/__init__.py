"""A till without hardware and without a city: scripted cards, faults and a network that fails.

For whoever develops a cash register against the local API. Cards are processes that speak bytes;
nothing here knows how a card works inside.
"""
