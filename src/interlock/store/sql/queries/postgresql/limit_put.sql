INSERT INTO limits (name, capacity, interval_seconds, burst) VALUES (:name, :capacity, :interval_seconds, :burst)
ON CONFLICT (name) DO UPDATE
SET capacity = excluded.capacity, interval_seconds = excluded.interval_seconds, burst = excluded.burst
