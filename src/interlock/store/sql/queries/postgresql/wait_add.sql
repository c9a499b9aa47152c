-- Primary key. One that is there stays as it is.
INSERT INTO waits (graph, visit, token, run, is_loaded) VALUES (:graph, :visit, :token, :run, 0)
ON CONFLICT (graph) DO NOTHING
