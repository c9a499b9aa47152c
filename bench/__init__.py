"""Measures Interlock beside its peers: `python -m bench`, or `make bench`.

Here belongs what measures: the cases, the products that are measured, the servers that they need, and the table that comes
out. What is right belongs in `tests`; nothing here judges time, but for the marks in the table where a target is missed.

Every measurement is a process of its own (`bench.subject`), so that no product warms up, slows down or falls for another.
"""
