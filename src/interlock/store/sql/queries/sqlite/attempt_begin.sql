-- Primary key: its program runs, as far as its pool says.
UPDATE attempts SET started_at = coalesce(started_at, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)) WHERE task = :task AND fence = :fence
