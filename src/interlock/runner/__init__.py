"""What runs inside a pool: the supervisor of one attempt.

It knows no store, no engine and no workflow; it is given a command and sees that nothing of it is left behind. Nothing
imports this package; pools start it. `supervisor` uses the standard library only, and little of that, so that it starts
in milliseconds; `call` is the variant for Python functions, which has the environment's packages.
"""
