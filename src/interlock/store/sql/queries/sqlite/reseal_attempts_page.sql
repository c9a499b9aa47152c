-- Primary key.
SELECT task, fence, detail FROM attempts
WHERE (task, fence) > (:task, :fence) ORDER BY task, fence LIMIT :limit
