-- Index memos_undo, backwards.
SELECT number, call, body, undo FROM memos
WHERE run = :run AND undo = 1 AND number < :before ORDER BY number DESC LIMIT :limit
