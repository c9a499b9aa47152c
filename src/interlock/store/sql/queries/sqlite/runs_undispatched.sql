-- Index tasks_ready, then the primary key: live runs with a task that is ready, newest first, and for how many seconds.
WITH waiting AS (
  SELECT run, min(coalesce(ready_at, created_at)) AS since FROM tasks WHERE pool = :pool AND state = 'ready' GROUP BY run)
SELECT r.run, r.namespace, r.id, r.workflow, r.version, r.definition, r.status, r.partial, r.epoch, r.seq, r.owner, r.folder, r.created_at,
       r.started_at, r.ended_at, r.wake_at, NULL, r.fault, NULL, r.origin, r.shown,
       coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) - w.since
FROM waiting AS w JOIN runs AS r ON r.run = w.run
WHERE r.ended_at IS NULL AND r.owner IS NOT NULL AND r.status <> 'suspended'
ORDER BY 1 DESC LIMIT :limit
