-- Primary key, prefix. Nothing to lock: the writer has the whole file.
SELECT task FROM task_edges WHERE predecessor = :predecessor ORDER BY task
