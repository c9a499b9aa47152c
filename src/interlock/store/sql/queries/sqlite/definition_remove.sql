-- Primary key. A start that came meanwhile has asked for it.
DELETE FROM definitions
WHERE digest = :digest AND used_at < :before
  AND NOT EXISTS (SELECT 1 FROM published WHERE published.digest = definitions.digest)
