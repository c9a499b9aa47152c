-- Primary key.
SELECT task, fence, detail FROM attempts
WHERE (task, fence) > (:task::text, :fence::bigint) ORDER BY task, fence LIMIT :limit
