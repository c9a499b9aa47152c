-- Index runs_children.
INSERT INTO inbox (run, cause_id, cause, posted_at)
SELECT run, 'cancel:parent', :cause, (julianday('now') - 2440587.5) * 86400.0 FROM runs
WHERE parent = :run AND parent_effect = :effect AND ended_at IS NULL
ON CONFLICT (run, cause_id) DO NOTHING
