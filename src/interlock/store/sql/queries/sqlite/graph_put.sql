-- Primary key: the load is whole.
UPDATE graphs SET digest = :digest, document = :document, folder = :folder, tasks = :tasks, loads = loads + 1,
  loaded_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), loading_until = NULL
WHERE graph = :graph
