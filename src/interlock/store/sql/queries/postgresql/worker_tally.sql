-- Primary key. Zero rows: another process has the place of this one.
UPDATE workers
SET assigned = assigned + :taken::bigint,
    assigned_at = CASE WHEN :taken::bigint > 0 THEN coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) ELSE assigned_at END,
    succeeded = succeeded + :succeeded::bigint, failed = failed + :failed::bigint, busy_seconds = busy_seconds + :seconds::float8,
    failed_at = CASE WHEN :failed::bigint > 0 THEN coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) ELSE failed_at END
WHERE worker = :worker::text AND session = :session::text
