-- Primary key, descending: pages by key.
SELECT number, namespace, at, body FROM events
WHERE (:before::bigint IS NULL OR number < :before) AND (:namespace::text IS NULL OR namespace = :namespace)
  AND (:type::text IS NULL OR type = :type)
ORDER BY number DESC LIMIT :limit
