-- Index leases_placed: occupancy is a count of leases. A lease that ran out counts until its attempt is ended.
SELECT count(*) FROM leases WHERE kind = 'attempt' AND place = :pool
