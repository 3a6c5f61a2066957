"""The city's side: identity, wallet, virtual cards, merchants, payments, behind two networks."""
