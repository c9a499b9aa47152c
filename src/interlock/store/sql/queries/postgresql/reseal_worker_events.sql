-- Primary key. No rows: somebody wrote meanwhile.
UPDATE worker_events SET detail = :detail::bytea
WHERE number = :number::bigint AND detail IS NOT DISTINCT FROM :was_detail::bytea
