INSERT INTO scopes (run, scope, body) VALUES (:run, :scope, :body)
ON CONFLICT (run, scope) DO UPDATE SET body = excluded.body
