-- Primary key.
UPDATE waits SET is_loaded = 1 WHERE graph = :graph AND token = :token AND ended_at IS NULL
