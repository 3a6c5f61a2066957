"""The e-purse application (design A.1, B.1): value on the card, debited offline by a SAM.

`state` is what lasts, `session` what a power-off forgets, `step` the whole rule: both of them and a
command give an answer and the next state. `applet` commits the state before the answer leaves.
"""
