-- Primary key. No rows: somebody wrote meanwhile.
UPDATE attempts SET detail = :detail::bytea
WHERE task = :task::text AND fence = :fence::bigint AND detail IS NOT DISTINCT FROM :was_detail::bytea
