-- Primary key. Writes only what is new; what the limit knows of past starts stays.
INSERT INTO limits (name, capacity, interval_seconds, burst) VALUES (:name, :capacity, :interval_seconds, :burst)
ON CONFLICT (name) DO UPDATE
SET capacity = excluded.capacity, interval_seconds = excluded.interval_seconds, burst = excluded.burst
WHERE limits.capacity IS NOT excluded.capacity OR limits.interval_seconds IS NOT excluded.interval_seconds
  OR limits.burst <> excluded.burst
