-- Unique (run, effect), prefix: what a graph has, before it is loaded again.
SELECT task, effect, path, state, spec FROM tasks WHERE run = :graph AND lane IS NOT NULL ORDER BY effect
