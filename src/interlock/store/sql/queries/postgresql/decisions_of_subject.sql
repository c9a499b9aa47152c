-- Index decisions_of_subject.
SELECT number, at, kind, subject, chosen, body FROM decisions
WHERE kind = :kind::text AND subject = :subject::text ORDER BY number DESC LIMIT :limit::bigint
