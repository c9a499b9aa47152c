"""Workflows in Python: what their functions take and give, and how that is stored.

`values` turns Python values into JSON and back as their annotations say; `planning` decides how, once per annotation, out of
the `forms` of `scalars`, `containers`, `records` and `pydantic`. `signature` does so for the calls of a function, `raised`
for exceptions. `lint` finds in a workflow's source what would not survive a restart. Nothing here runs a workflow, knows a
store or does I/O.
"""
