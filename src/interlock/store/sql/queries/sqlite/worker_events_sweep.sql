-- Index worker_events_at.
DELETE FROM worker_events WHERE at < :before
