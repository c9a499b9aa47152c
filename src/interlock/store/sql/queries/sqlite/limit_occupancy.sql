-- Primary key, prefix: occupancy is a count of what live leases name.
SELECT count(*) FROM lease_limits WHERE name = :name
