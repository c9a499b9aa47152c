-- Primary key.
SELECT spec FROM tasks WHERE task = :task AND spec IS NOT NULL
