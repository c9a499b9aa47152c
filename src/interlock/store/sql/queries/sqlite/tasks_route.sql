-- Primary key: leaves ready tasks, a JSON list of [task, pool], to the workers of a pool.
UPDATE tasks SET pool = p.pool
FROM (SELECT json_extract(value, '$[0]') AS task, json_extract(value, '$[1]') AS pool FROM json_each(:placements)) AS p
WHERE tasks.task = p.task AND tasks.state = 'ready' RETURNING tasks.task
