-- Primary key: what an attempt that did not succeed is decided by. No rows: a task of a run, or the fence is stale.
SELECT spec, used, cancel, run FROM tasks WHERE task = :task AND fence = :fence AND state = 'running' AND lane IS NOT NULL FOR UPDATE
