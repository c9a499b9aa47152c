"""Interlock runs work that must not be lost.

This file holds the public names only and imports nothing heavy: runner processes start in milliseconds because of it.
"""

__version__ = "0.1.0"
