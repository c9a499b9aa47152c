-- One row per graph, then the primary key of edges: graphs that are loaded, and whose gate is not open.
SELECT graph FROM graphs
WHERE loading_until IS NULL AND EXISTS (SELECT 1 FROM task_edges AS e WHERE e.predecessor = graphs.graph || '/')
