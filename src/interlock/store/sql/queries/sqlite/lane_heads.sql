-- Index tasks_ready, from which some versions need nothing more: the first tasks of a lane. No pool has the name of a lane, so
-- all are of graphs.
SELECT task, priority, rank FROM tasks
WHERE pool = :lane AND state = 'ready' ORDER BY priority DESC, rank, task LIMIT :limit
