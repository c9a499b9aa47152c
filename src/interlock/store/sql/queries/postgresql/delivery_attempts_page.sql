-- Primary key, prefix.
SELECT number, node, at, seconds, status, detail FROM delivery_attempts
WHERE delivery = :delivery AND number > :after ORDER BY number LIMIT :limit
