INSERT INTO pools (pool, type, state, capacity, cpu, memory, gpus, settings, declared_at)
VALUES (:pool, :type, :state, :capacity, :cpu, :memory, :gpus, :settings, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ON CONFLICT (pool) DO UPDATE
SET type = excluded.type, capacity = excluded.capacity, cpu = excluded.cpu, memory = excluded.memory, gpus = excluded.gpus,
    settings = excluded.settings, declared_at = excluded.declared_at
