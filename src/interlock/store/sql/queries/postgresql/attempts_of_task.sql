-- Primary key, prefix.
SELECT task, fence, attempt, pool, holder, placed_at, started_at, ended_at, outcome, failure, detail
FROM attempts WHERE task = :task ORDER BY fence DESC LIMIT :limit
