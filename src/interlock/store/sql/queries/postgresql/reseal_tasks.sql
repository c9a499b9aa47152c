-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tasks SET target = :target::bytea
WHERE task = :task::text AND target IS NOT DISTINCT FROM :was_target::bytea
