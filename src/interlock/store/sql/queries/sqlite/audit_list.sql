-- Primary key, descending.
SELECT number, at, actor, action, target FROM audit
WHERE number < :before ORDER BY number DESC LIMIT :limit
