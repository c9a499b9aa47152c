INSERT INTO tasks (task, run, effect, path, pool, priority, state, attempt, target, folder, idempotency_key,
                   any_exit_code, created_at, ready_at, linked, needs, rank, lane, spec)
VALUES (:task, :run, :effect, :path, :pool, :priority, :state, :attempt, :target, :folder, :idempotency_key,
        :any_exit_code, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :ready_at, :linked, :needs, coalesce(:rank::float8, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)), :lane, :spec)
ON CONFLICT (task) DO NOTHING
