-- Primary key. No rows: somebody wrote meanwhile.
UPDATE leases SET detail = :detail
WHERE kind = :kind AND name = :name AND detail IS :was_detail
