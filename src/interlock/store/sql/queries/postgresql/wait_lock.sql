-- Primary key.
SELECT visit, token, is_loaded, ended_at FROM waits WHERE graph = :graph FOR UPDATE
