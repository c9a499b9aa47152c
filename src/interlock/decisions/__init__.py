"""Decisions: pure scores and choices, and the record that explains each. What is chosen here is done elsewhere.

Nothing here reads a store or a clock; what a choice needs of the present is given to it.
"""
