-- Index cached_expiring.
DELETE FROM cached WHERE expires_at < :before
