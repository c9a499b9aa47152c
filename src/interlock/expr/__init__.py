"""Expression languages: jq, the templates that hold jq in `${ }`, and URI templates.

Everything here computes a value from values and nothing else: no environment, clock, file or network is reachable from
an expression. What an expression may cost is decided when it is compiled (`cost`); the costly ones run in processes of
their own (`evaluators`), reached through the pure seam `evaluation`. The engine, not this package, knows which names
(`$context`, `$input`, ...) exist where.
"""
