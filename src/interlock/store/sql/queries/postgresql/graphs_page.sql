-- Unique (namespace, name).
SELECT graph, namespace, name, digest, tasks, loads, loaded_at FROM graphs
WHERE (:namespace::text IS NULL OR namespace = :namespace::text) AND (namespace, name) > (:after_namespace::text, :after_name::text)
ORDER BY namespace, name LIMIT :limit
