-- Until the transaction ends, so that the count of a node's occupied slots is a guard: a claim whose connection broke may
-- still be at work when the next one begins.
SELECT pg_advisory_xact_lock(hashtextextended('pool:' || :pool::text || ':' || :node::text, 0))
