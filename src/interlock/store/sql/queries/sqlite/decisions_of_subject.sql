-- Index decisions_of_subject.
SELECT number, at, kind, subject, chosen, body FROM decisions
WHERE kind = :kind AND subject = :subject ORDER BY number DESC LIMIT :limit
