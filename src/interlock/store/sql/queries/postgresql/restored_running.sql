-- Whole table, once.
SELECT task, fence FROM tasks WHERE state = 'running'
