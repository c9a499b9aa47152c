-- Primary key. `outcome`: 1 succeeded, 0 failed, -1 neither.
UPDATE workers
SET succeeded = succeeded + CASE WHEN :outcome::bigint = 1 THEN 1 ELSE 0 END, failed = failed + CASE WHEN :outcome::bigint = 0 THEN 1 ELSE 0 END,
    busy_seconds = busy_seconds + :seconds::float8, failed_at = CASE WHEN :outcome::bigint = 0 THEN coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) ELSE failed_at END
WHERE worker = :worker::text
