"""The grammar of the Open Workflow Specification 1.0.3, put together from shapes.

`shapes` are the parts and `patterns` the texts; `values`, `authentication`, `events`, `calls`, `processes` and `tasks`
say what each construct looks like. What a document as a whole looks like is said by `flow.structure`, the door to all
this; what shapes cannot say (targets, references, limits) does not belong here.
"""
