-- Whole table, once. What was sent since the backup is sent again, under the same ids.
UPDATE deliveries SET fence = fence + :step, node = NULL
