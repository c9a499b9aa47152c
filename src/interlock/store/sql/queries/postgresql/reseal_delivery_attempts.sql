-- Primary key. No rows: somebody wrote meanwhile.
UPDATE delivery_attempts SET detail = :detail::text
WHERE delivery = :delivery::text AND number = :number::bigint AND detail IS NOT DISTINCT FROM :was_detail::text
