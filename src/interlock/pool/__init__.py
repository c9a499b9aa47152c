"""Where attempts run: one protocol, a launcher per kind of place.

    launch --> running --(the work ends, is cancelled, or dies)--> exactly one Outcome

A launcher never raises for what the work did; it raises InterlockError only when it cannot launch at all. A new kind of
place is one file here and the conformance suite in tests/pool.
"""
