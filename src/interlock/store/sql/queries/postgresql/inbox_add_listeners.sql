-- Index subscriptions_matched. One row per run, however many of its steps listen.
INSERT INTO inbox (run, cause_id, cause)
SELECT DISTINCT run, :cause_id::text, :cause::bytea FROM subscriptions
WHERE namespace = :namespace AND type IN (:type::text, '') AND source IN (:source::text, '')
ON CONFLICT (run, cause_id) DO NOTHING
