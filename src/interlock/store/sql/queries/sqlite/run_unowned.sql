-- Index runs_free: whether there is a run to claim; a read, so that looking costs nobody a transaction.
SELECT 1 FROM runs
WHERE owner IS NULL AND ended_at IS NULL AND definition NOT IN (SELECT value FROM json_each(:refused)) LIMIT 1
