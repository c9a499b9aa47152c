-- Whole table: one row per pool. The writer has the whole file.
SELECT pool, type, state, capacity, cpu, memory, gpus, settings, declared_at, turn FROM pools ORDER BY pool
