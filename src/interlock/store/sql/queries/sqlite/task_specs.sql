-- Primary key.
SELECT task, spec FROM tasks WHERE task IN (SELECT value FROM json_each(:tasks)) AND spec IS NOT NULL
