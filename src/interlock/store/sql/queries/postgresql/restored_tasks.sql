-- Whole table, once.
UPDATE tasks SET fence = fence + :step
