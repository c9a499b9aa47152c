-- Until the end of the transaction nobody begins to seal (sealing_lock); nodes that join do not wait for each other.
SELECT pg_advisory_xact_lock_shared(1229870155, 1)
