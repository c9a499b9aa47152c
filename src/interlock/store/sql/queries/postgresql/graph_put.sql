-- Primary key: the load is whole.
UPDATE graphs SET digest = :digest, document = :document, folder = :folder, tasks = :tasks, loads = loads + 1,
  loaded_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), loading_until = NULL
WHERE graph = :graph
