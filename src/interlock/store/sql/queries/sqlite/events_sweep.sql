-- Index events_at.
DELETE FROM events WHERE at < :before
