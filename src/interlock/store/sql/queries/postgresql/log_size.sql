-- Primary key, prefix.
SELECT coalesce(sum(coalesce(characters, length(text))), 0)::bigint FROM logs WHERE run = :run AND path = :path AND attempt = :attempt
