INSERT INTO decisions (at, kind, subject, chosen, body) VALUES (coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :kind::text, :subject::text, :chosen::text, :body::bytea)
