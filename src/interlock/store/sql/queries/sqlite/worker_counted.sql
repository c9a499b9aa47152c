-- Primary key. `outcome`: 1 succeeded, 0 failed, -1 neither.
UPDATE workers
SET succeeded = succeeded + CASE WHEN :outcome = 1 THEN 1 ELSE 0 END, failed = failed + CASE WHEN :outcome = 0 THEN 1 ELSE 0 END,
    busy_seconds = busy_seconds + :seconds, failed_at = CASE WHEN :outcome = 0 THEN coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) ELSE failed_at END
WHERE worker = :worker
