INSERT INTO cached (namespace, name, key, body, expires_at) VALUES (:namespace, :name, :key, :body, :expires_at)
ON CONFLICT (namespace, name, key) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at
