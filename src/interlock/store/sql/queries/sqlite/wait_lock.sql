-- Primary key. There is one writer at a time anyway.
SELECT visit, token, is_loaded, ended_at FROM waits WHERE graph = :graph
