-- Index memos_undo, backwards; named, since the primary key seems as good while few steps have an undo.
SELECT number, call, body, undo FROM memos INDEXED BY memos_undo
WHERE run = :run AND undo = 1 AND number < :before ORDER BY number DESC LIMIT :limit
