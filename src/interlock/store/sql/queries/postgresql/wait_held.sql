-- Primary key. Another attempt of the step, which would want the tasks again, waits for this one's end.
SELECT 1 FROM waits WHERE graph = :graph AND token = :token FOR UPDATE
