-- Primary key. Zero rows: the fence is stale or the attempt ended before.
UPDATE tasks SET state = :state, ended_at = :at WHERE task = :task AND fence = :fence AND state = 'running'
RETURNING run, effect, cancel
