-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tasks SET target = :target
WHERE task = :task AND target IS :was_target
