-- Primary key. Gives the present, too: what a rate is compared with.
SELECT capacity, interval_seconds, burst, arrival_at, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) FROM limits WHERE name = :name
