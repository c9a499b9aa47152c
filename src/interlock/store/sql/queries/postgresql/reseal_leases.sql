-- Primary key. No rows: somebody wrote meanwhile.
UPDATE leases SET detail = :detail::bytea
WHERE kind = :kind::text AND name = :name::text AND detail IS NOT DISTINCT FROM :was_detail::bytea
