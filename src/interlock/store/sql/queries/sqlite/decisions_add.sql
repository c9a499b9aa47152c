INSERT INTO decisions (at, kind, subject, chosen, body) VALUES (coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :kind, :subject, :chosen, :body)
