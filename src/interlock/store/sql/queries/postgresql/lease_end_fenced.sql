-- Primary key. Zero rows: the attempt was given up, or ended before.
DELETE FROM leases WHERE kind = :kind AND name = :name AND fence = :fence AND (:holder::text IS NULL OR holder = :holder)
