-- Primary key. Zero rows: the fence is stale or the attempt ended before.
UPDATE tasks SET state = :state, ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
WHERE task = :task AND fence = :fence AND state = 'running'
RETURNING run, effect, cancel, linked, lane IS NOT NULL
