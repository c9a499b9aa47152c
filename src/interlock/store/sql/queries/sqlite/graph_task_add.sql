INSERT INTO tasks (task, run, effect, path, pool, priority, state, attempt, target, folder, idempotency_key,
                   any_exit_code, created_at, ready_at, linked, needs, rank, lane, spec)
VALUES (:task, :run, :effect, :path, :pool, :priority, :state, :attempt, :target, :folder, :idempotency_key,
        :any_exit_code, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :ready_at, :linked, :needs, coalesce(:rank, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)), :lane, :spec)
ON CONFLICT (task) DO NOTHING
