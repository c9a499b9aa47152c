-- Primary key, prefix.
SELECT l.task, l.name FROM json_array_elements_text(:tasks::text::json) AS t (value)
JOIN task_limits AS l ON l.task = t.value ORDER BY l.task, l.name
