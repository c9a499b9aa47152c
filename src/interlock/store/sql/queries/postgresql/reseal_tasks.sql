-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tasks SET target = :target::bytea, spec = :spec::bytea
WHERE task = :task::text AND target IS NOT DISTINCT FROM :was_target::bytea AND spec IS NOT DISTINCT FROM :was_spec::bytea
