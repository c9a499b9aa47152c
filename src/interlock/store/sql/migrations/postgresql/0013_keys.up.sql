-- API keys. Only a digest of the secret is kept. `namespaces`: a JSON list, NULL for all of them. Revoked ones stay: the audit log
-- names them.
CREATE TABLE api_keys (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'worker', 'admin')),
  namespaces text COLLATE "C",
  created_at double precision NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  expires_at double precision,
  revoked_at double precision
);
CREATE INDEX api_keys_live ON api_keys (id) WHERE revoked_at IS NULL;
