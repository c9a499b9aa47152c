"""Performs what the engine decided and says how it ended: a target in, an outcome out.

An effect knows nothing of runs, steps or the store. It may be performed more than once after a crash, so each carries
an idempotency key that stays the same over all its attempts.
"""
