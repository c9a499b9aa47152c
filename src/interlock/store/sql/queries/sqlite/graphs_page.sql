-- Unique (namespace, name).
SELECT graph, namespace, name, digest, tasks, loads, loaded_at FROM graphs
WHERE (:namespace IS NULL OR namespace = :namespace) AND (namespace, name) > (:after_namespace, :after_name)
ORDER BY namespace, name LIMIT :limit
