-- Primary key. No rows: somebody wrote meanwhile.
UPDATE delivery_attempts SET detail = :detail
WHERE delivery = :delivery AND number = :number AND detail IS :was_detail
