"""What work outside and Interlock tell each other: tokens that others complete for us, outcomes that we tell our callers.

Here belongs what happens between a token and the store, whoever speaks for its holder (`tokens`); and what callers are told
(`outcome`), how it is signed and sent (`signature`, `webhook`, `temporal`), and who sends it (`courier`, with `reconciler`
as its net). What is stored of it is a port of the store; what a report means to a run, and that a run ends, is the
engine's, which knows nothing of this; `app` wires them. The client of Temporal is imported by `temporal` alone, and only
when it is needed.
"""
