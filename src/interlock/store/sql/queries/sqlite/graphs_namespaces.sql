-- Primary key: of a JSON list of graphs. Once for each graph: its row holds its whole document, all of which a look at it reads.
SELECT graph, namespace FROM graphs WHERE graph IN (SELECT value FROM json_each(:graphs))
