-- Whole tables: for `doctor` only.
SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM runs WHERE ended_at IS NULL),
       (SELECT count(*) FROM history), (SELECT count(*) FROM memos), (SELECT count(*) FROM tasks), (SELECT count(*) FROM inbox),
       (SELECT count(*) FROM logs), (SELECT count(*) FROM definitions)
