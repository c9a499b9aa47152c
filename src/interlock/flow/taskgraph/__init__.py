"""Task graphs as people write them, in YAML or JSON: checked with every problem at its place, then typed.

text -> `reading` -> grammar -> cycles -> `document` (typed)        order: which of its tasks come first
"""
