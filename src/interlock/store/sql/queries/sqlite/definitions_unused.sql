-- Whole tables, in a reader: definitions that nobody asked for lately and that nothing names.
SELECT digest FROM definitions
WHERE used_at < :before AND digest NOT IN (SELECT digest FROM published) AND digest NOT IN (SELECT definition FROM runs)
LIMIT :limit
