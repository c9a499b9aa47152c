"""Workflow definitions: text to positions, positions to a checked tree, the tree to a graph the engine walks.

`yaml` reads YAML 1.2 and JSON with positions, `structure` checks shapes, `parse` builds the typed tree of `document`,
`meaning` and `lint` check what shapes cannot say, `compile` makes the graph. Nothing here runs a workflow or does I/O
beyond reading the text it is given.
"""
