-- Index decisions_at.
DELETE FROM decisions WHERE at < :before::float8
