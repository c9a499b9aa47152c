-- Primary key.
UPDATE limits SET arrival_at = :arrival_at WHERE name = :name
