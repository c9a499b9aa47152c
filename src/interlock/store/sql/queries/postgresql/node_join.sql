INSERT INTO nodes (node, host, boot, pid, started, roles, version, pinned, joined_at)
VALUES (:node, :host, :boot, :pid, :started, :roles, :version, :pinned,
        coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ON CONFLICT (node) DO NOTHING
