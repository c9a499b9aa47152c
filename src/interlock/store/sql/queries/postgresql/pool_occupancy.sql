-- Index leases_held: occupancy is a count of leases. The slots are the node's own; what it adopted counts among them. The
-- empty text keeps the planner from the index by place, which every node shares.
SELECT count(*) FROM leases WHERE holder = :node AND kind = 'attempt' AND place || '' = :pool
