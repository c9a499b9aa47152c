-- Until the end of the transaction no node joins, and no other process begins to seal.
SELECT pg_advisory_xact_lock(1229870155, 1)
