-- Whole table, once: versions that were given since the backup stay behind the next ones.
UPDATE cells SET version = version + :step
