INSERT INTO deliveries (delivery, run, namespace, kind, target, receiver, identity, sealed, state, waiting, due_at, deadline,
                        beat_seconds, created_at)
VALUES (:delivery, :run, :namespace, :kind, :target, :receiver, :identity, :sealed, 'pending', :waiting, :due_at, :deadline,
        :beat_seconds, :at)
