-- Primary key, prefix.
DELETE FROM memos WHERE run = :run AND number IN (SELECT number FROM memos WHERE run = :run LIMIT :limit)
