-- Unique (namespace, name). Zero rows: another process loads it.
INSERT INTO graphs (graph, namespace, name, digest, document, folder, tasks, loads, loading_until)
VALUES (:graph, :namespace, :name, :digest, :document, :folder, 0, 0, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :seconds)
ON CONFLICT (namespace, name) DO UPDATE SET loading_until = excluded.loading_until
WHERE graphs.loading_until IS NULL OR graphs.loading_until <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
