-- Primary key. No rows: somebody wrote meanwhile.
UPDATE logs SET text = :text::text, characters = coalesce(characters, length(text))
WHERE run = :run::text AND number = :number::bigint AND text IS NOT DISTINCT FROM :was_text::text
