-- Primary key, prefix.
SELECT seq, at, epoch, events FROM history WHERE run = :run AND seq > :after ORDER BY seq LIMIT :limit
