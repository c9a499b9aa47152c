INSERT INTO subscriptions (run, listener, namespace, type, source) VALUES (:run, :listener, :namespace, :type, :source)
ON CONFLICT (run, listener, type, source) DO NOTHING
