-- Index subscriptions_matched. One row per run, however many of its steps listen.
INSERT INTO inbox (run, cause_id, cause)
SELECT DISTINCT run, :cause_id, :cause FROM subscriptions
WHERE namespace = :namespace AND type IN (:type, '') AND source IN (:source, '')
ON CONFLICT (run, cause_id) DO NOTHING
