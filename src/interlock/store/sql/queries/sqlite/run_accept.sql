-- Gives no row when the id is taken (unique id, namespace).
INSERT INTO runs (run, namespace, id, definition, workflow, version, folder, origin, status, epoch, seq, owner, wake_at,
                  parent, parent_effect, partial, created_at, started_at, ended_at, input, head, output, fault, freed_at, shown)
VALUES (:run, :namespace, :id, :definition, :workflow, :version, :folder, :origin, :status, 1, :seq, :owner, :wake_at,
        :parent, :parent_effect, :partial, :at, :started_at, :ended_at, :input, :head, :output, :fault,
        CASE WHEN :owner IS NULL THEN :at END, :shown)
ON CONFLICT (id, namespace) DO NOTHING
