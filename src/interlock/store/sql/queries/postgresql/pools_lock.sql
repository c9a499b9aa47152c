-- Whole table: one row per pool. Holds them until the transaction ends, so that a count of leases is a guard.
SELECT pool, type, state, capacity, cpu, memory, gpus, settings, declared_at, turn FROM pools ORDER BY pool FOR UPDATE
