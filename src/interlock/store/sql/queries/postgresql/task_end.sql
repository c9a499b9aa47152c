-- Primary key. Zero rows: the fence is stale or the attempt ended before.
UPDATE tasks SET state = :state, ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
WHERE task = :task AND fence = :fence AND state = 'running'
RETURNING run, effect, cancel, linked, lane IS NOT NULL
