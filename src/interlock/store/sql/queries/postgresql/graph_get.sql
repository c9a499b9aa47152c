-- Unique (namespace, name), then the primary keys of waits and runs.
SELECT g.graph, g.digest, g.tasks, g.loads, g.loaded_at, g.folder, coalesce(r.id, '') FROM graphs AS g
LEFT JOIN waits AS w ON w.graph = g.graph LEFT JOIN runs AS r ON r.run = w.run
WHERE g.namespace = :namespace AND g.name = :name
