-- Index subscriptions_matched. One row per run, however many of its steps listen.
INSERT INTO inbox (run, cause_id, cause, posted_at)
SELECT DISTINCT run, :cause_id, :cause, (julianday('now') - 2440587.5) * 86400.0 FROM subscriptions
WHERE namespace = :namespace AND type IN (:type, '') AND source IN (:source, '')
ON CONFLICT (run, cause_id) DO NOTHING
