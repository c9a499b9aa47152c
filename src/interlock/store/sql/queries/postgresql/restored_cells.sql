-- Whole table, once: versions that were given since the backup stay behind the next ones, and changes are told of by transactions of
-- this server, where the numbers of those of the other one mean nothing.
UPDATE cells SET version = version + :step::bigint, writing = pg_current_xact_id()
