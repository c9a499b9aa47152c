-- Unique (run, cause_id): what asks a run to end, and was not applied yet.
SELECT cause FROM inbox WHERE run = :run AND cause_id >= 'cancel:' AND cause_id < 'cancel;' ORDER BY number LIMIT 1
