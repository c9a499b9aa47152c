-- Primary key, descending: pages by key.
SELECT number, namespace, at, body FROM events
WHERE (:before IS NULL OR number < :before) AND (:namespace IS NULL OR namespace = :namespace)
  AND (:type IS NULL OR type = :type)
ORDER BY number DESC LIMIT :limit
