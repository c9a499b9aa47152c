-- Index leases_held: occupancy is a count of leases. The slots are the node's own; what it adopted counts among them. The
-- signs keep the planner from the index by place and from the primary key, which every node shares.
SELECT count(*) FROM leases WHERE holder = :node AND +kind = 'attempt' AND +place = :pool
