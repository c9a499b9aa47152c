-- Unique (namespace, name), then for each the primary keys of waits and runs.
SELECT g.graph, g.namespace, g.name, g.digest, g.tasks, g.loads, g.loaded_at, coalesce(r.id, '') FROM graphs AS g
LEFT JOIN waits AS w ON w.graph = g.graph LEFT JOIN runs AS r ON r.run = w.run
WHERE (:namespace::text IS NULL OR g.namespace = :namespace::text) AND (g.namespace, g.name) > (:after_namespace::text, :after_name::text)
ORDER BY g.namespace, g.name LIMIT :limit
