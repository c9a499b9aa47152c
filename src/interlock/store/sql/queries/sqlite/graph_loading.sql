-- Unique (namespace, name): until when a load may be under way; no rows for a new graph.
SELECT loading_until FROM graphs WHERE namespace = :namespace AND name = :name
