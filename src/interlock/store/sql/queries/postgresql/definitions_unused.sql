-- Whole tables, in a reader: definitions that nobody asked for lately and that nothing names.
SELECT digest FROM definitions AS d
WHERE used_at < :before AND NOT EXISTS (SELECT 1 FROM published WHERE published.digest = d.digest)
  AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.definition = d.digest)
LIMIT :limit
