-- Index decisions_of_kind.
SELECT number, at, kind, subject, chosen, body FROM decisions WHERE kind = :kind ORDER BY number DESC LIMIT :limit
