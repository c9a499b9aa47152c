-- A row for each place of the arrays.
INSERT INTO decisions (at, kind, subject, chosen, body)
SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :kind::text, g.subject, g.chosen, g.body
FROM unnest(:subject::text[], :chosen::text[], :body::bytea[]) AS g (subject, chosen, body)
