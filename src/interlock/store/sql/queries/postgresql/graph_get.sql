-- Unique (namespace, name).
SELECT graph, digest, tasks, loads, loaded_at, folder FROM graphs WHERE namespace = :namespace AND name = :name
