-- API keys. Only a digest of the secret is kept. `namespaces`: a JSON list, NULL for all of them. Revoked ones stay: the audit log
-- names them.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'worker', 'admin')),
  namespaces TEXT,
  created_at REAL NOT NULL,
  created_by TEXT NOT NULL,
  expires_at REAL,
  revoked_at REAL
) WITHOUT ROWID;
CREATE INDEX api_keys_live ON api_keys (id) WHERE revoked_at IS NULL;
