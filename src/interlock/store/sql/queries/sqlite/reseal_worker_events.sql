-- Primary key. No rows: somebody wrote meanwhile.
UPDATE worker_events SET detail = :detail
WHERE number = :number AND detail IS :was_detail
