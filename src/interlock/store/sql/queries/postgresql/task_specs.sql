-- Primary key.
SELECT task, spec FROM tasks WHERE task = ANY (ARRAY (SELECT json_array_elements_text(:tasks::text::json))) AND spec IS NOT NULL
