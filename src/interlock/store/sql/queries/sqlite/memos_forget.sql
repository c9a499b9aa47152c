-- Primary key, prefix.
DELETE FROM memos WHERE run = :run
