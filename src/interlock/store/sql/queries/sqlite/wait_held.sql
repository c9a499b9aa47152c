-- Primary key. There is one writer at a time anyway.
SELECT 1 FROM waits WHERE graph = :graph AND token = :token
