-- Unique (namespace, source, id): an event that is sent again while it is kept counts once.
INSERT INTO events (namespace, source, id, type, at, body) VALUES (:namespace, :source, :id, :type, :at, :body)
ON CONFLICT (namespace, source, id) DO NOTHING
