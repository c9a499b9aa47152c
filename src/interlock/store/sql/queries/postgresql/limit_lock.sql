-- Primary key: holds the limit until the transaction ends. Gives the present, too: what a rate is compared with.
SELECT capacity, interval_seconds, burst, arrival_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) FROM limits WHERE name = :name FOR UPDATE
