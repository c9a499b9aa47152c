-- Additive: processes of the version before go on with a store that has it.

-- Open runs that tasks of graphs started; a child run that nobody awaits looks the same, and is passed over.
CREATE INDEX runs_of_tasks ON runs (run) WHERE parent IS NOT NULL AND parent_effect IS NULL AND ended_at IS NULL;
