-- Primary key, prefix: lets tasks of a graph go that only waited for all of them to be stored.
DELETE FROM task_edges WHERE predecessor = :gate AND task IN (
  SELECT task FROM task_edges WHERE predecessor = :gate ORDER BY task LIMIT :limit)
RETURNING task
