-- Index logs_of_run: how many characters of an attempt's output are kept, by stream.
SELECT stream, sum(coalesce(characters, length(text))) FROM logs
WHERE run = :run AND path = :path AND attempt = :attempt GROUP BY stream
