-- Index waits_open, then for each wait the primary keys of tokens and graphs and one step on tasks_open.
SELECT w.graph, w.token, w.effect, w.state, w.has_open FROM (
  SELECT w.graph, w.token, w.is_loaded, t.effect, t.state, t.reason IS NOT NULL AS is_asked,
    EXISTS (SELECT 1 FROM tasks AS o WHERE o.run = w.graph AND o.lane IS NOT NULL AND o.state NOT IN ('done', 'failed', 'cancelled', 'skipped')) AS has_open,
    EXISTS (SELECT 1 FROM tasks AS o WHERE o.run = w.graph AND o.lane IS NOT NULL AND o.state NOT IN ('done', 'failed', 'cancelled', 'skipped') AND o.cancel = 0) AS is_unasked,
    EXISTS (SELECT 1 FROM graphs AS g WHERE g.graph = w.graph AND g.loading_until > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)) AS is_loading
  FROM waits AS w LEFT JOIN tokens AS t ON t.token = w.token WHERE w.ended_at IS NULL
) AS w
WHERE (w.state = 'open' AND w.is_loaded = 1 AND NOT w.has_open)
  OR (w.state = 'open' AND w.is_loaded = 1 AND w.is_asked AND w.is_unasked)
  OR (coalesce(w.state, '') <> 'open' AND NOT w.is_loading)
ORDER BY w.graph LIMIT :limit
