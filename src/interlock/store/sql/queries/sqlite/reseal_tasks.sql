-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tasks SET target = :target, spec = :spec
WHERE task = :task AND target IS :was_target AND spec IS :was_spec
