-- Index runs_children.
INSERT INTO inbox (run, cause_id, cause)
SELECT run, 'cancel:parent', :cause FROM runs
WHERE parent = :run AND parent_effect = :effect AND ended_at IS NULL
ON CONFLICT (run, cause_id) DO NOTHING
