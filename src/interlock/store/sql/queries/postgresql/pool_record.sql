-- Index attempts_of_pool: how the last attempts of a pool ended.
SELECT count(*), coalesce(sum(CASE WHEN outcome = 'done' THEN 1 ELSE 0 END), 0)::bigint FROM (
  SELECT outcome FROM attempts WHERE pool = :pool AND outcome IS NOT NULL ORDER BY placed_at DESC LIMIT :limit) AS a
