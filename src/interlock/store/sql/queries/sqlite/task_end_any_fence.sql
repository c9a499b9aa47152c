-- Primary key: for attempts whose lease ran out.
UPDATE tasks SET state = 'failed', ended_at = :at WHERE task = :task AND state = 'running'
RETURNING run, effect, cancel
