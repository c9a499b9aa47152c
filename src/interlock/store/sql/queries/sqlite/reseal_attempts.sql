-- Primary key. No rows: somebody wrote meanwhile.
UPDATE attempts SET detail = :detail
WHERE task = :task AND fence = :fence AND detail IS :was_detail
