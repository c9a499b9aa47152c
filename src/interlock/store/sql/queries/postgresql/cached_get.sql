-- Primary key.
SELECT body FROM cached WHERE namespace = :namespace AND name = :name AND key = :key AND expires_at > :now
