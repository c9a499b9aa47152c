-- Primary key.
DELETE FROM attributes WHERE run = :run AND name = :name
