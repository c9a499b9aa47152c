"""Pure values: ids, payloads, durations, runs, steps, tasks, outcomes, events and their legal transitions.

Nothing here does I/O, reads a clock or draws a random number. Rules that every store and every node must agree on
(what may follow what, when to retry, how long to back off) live here and nowhere else.
"""
