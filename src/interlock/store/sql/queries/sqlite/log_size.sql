-- Index logs_of_run.
SELECT coalesce(sum(coalesce(characters, length(text))), 0) FROM logs WHERE run = :run AND path = :path AND attempt = :attempt
