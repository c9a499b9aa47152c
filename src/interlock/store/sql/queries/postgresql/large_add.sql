INSERT INTO large_values (run, digest, part, parts, body, stored_at)
VALUES (:run, :digest, :part, :parts, :body, :at)
ON CONFLICT (run, digest, part) DO NOTHING
