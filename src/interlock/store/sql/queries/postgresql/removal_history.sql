-- Primary key, prefix.
DELETE FROM history WHERE run = :run AND seq IN (SELECT seq FROM history WHERE run = :run LIMIT :limit)
