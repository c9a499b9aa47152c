-- Index tokens_pending, which holds only what is open: how much of its time each token has used, in tenths; -1 for those without end.
SELECT bucket, count(*) FROM (
  SELECT CASE
    WHEN expires_at IS NULL THEN -1
    WHEN expires_at <= :now THEN 10
    WHEN expires_at <= created_at THEN 10
    WHEN created_at >= :now THEN 0
    ELSE CAST((:now - created_at) * 10 / (expires_at - created_at) AS INTEGER)
  END AS bucket
  FROM tokens WHERE state = 'open') AS aged
GROUP BY bucket ORDER BY bucket
