INSERT INTO tasks (task, run, effect, path, pool, priority, state, attempt, target, folder, idempotency_key,
                   any_exit_code, created_at, ready_at, linked, needs)
VALUES (:task, :run, :effect, :path, :pool, :priority, :state, :attempt, :target, :folder, :idempotency_key,
        :any_exit_code, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :ready_at, :linked, :needs)
ON CONFLICT (task) DO NOTHING
