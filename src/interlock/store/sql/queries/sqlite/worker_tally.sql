-- Primary key. Zero rows: another process has the place of this one.
UPDATE workers
SET assigned = assigned + :taken,
    assigned_at = CASE WHEN :taken > 0 THEN coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) ELSE assigned_at END,
    succeeded = succeeded + :succeeded, failed = failed + :failed, busy_seconds = busy_seconds + :seconds,
    failed_at = CASE WHEN :failed > 0 THEN coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) ELSE failed_at END
WHERE worker = :worker AND session = :session
