DROP TABLE lease_limits;
DROP TABLE task_limits;
DROP TABLE task_edges;
ALTER TABLE limits DROP COLUMN capacity, DROP COLUMN interval_seconds, DROP COLUMN burst, DROP COLUMN arrival_at;
DROP INDEX tasks_held;
DROP INDEX tasks_delayed;
ALTER TABLE tasks
  DROP COLUMN ready_at, DROP COLUMN held_by, DROP COLUMN linked,
  DROP CONSTRAINT tasks_state_check,
  ADD CONSTRAINT tasks_state_check CHECK (state IN ('ready', 'running', 'done', 'failed', 'cancelled'));
