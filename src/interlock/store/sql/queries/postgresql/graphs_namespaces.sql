-- Primary key: of a JSON list of graphs. ANY of an array, since a join might read all of them.
SELECT graph, namespace FROM graphs WHERE graph = ANY (ARRAY (SELECT json_array_elements_text(:graphs::text::json)))
