-- Primary key, prefix.
SELECT version FROM published WHERE namespace = :namespace AND name = :name
