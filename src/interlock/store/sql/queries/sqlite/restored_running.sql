-- Whole table, once.
SELECT task FROM tasks WHERE state = 'running'
