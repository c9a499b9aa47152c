-- Primary key. No rows: somebody wrote meanwhile.
UPDATE logs SET text = :text, characters = coalesce(characters, length(text))
WHERE number = :number AND text IS :was_text
