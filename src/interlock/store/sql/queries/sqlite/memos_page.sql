-- Primary key, prefix.
SELECT number, call, body, undo FROM memos WHERE run = :run AND number > :after ORDER BY number LIMIT :limit
