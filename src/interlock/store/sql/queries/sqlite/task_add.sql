INSERT INTO tasks (task, run, effect, path, pool, priority, state, attempt, target, folder, idempotency_key,
                   any_exit_code, created_at, linked, needs, rank)
VALUES (:task, :run, :effect, :path, :pool, :priority, 'ready', :attempt, :target, :folder, :idempotency_key,
        :any_exit_code, :at, :linked, :needs, :at)
