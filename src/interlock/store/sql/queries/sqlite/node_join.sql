INSERT INTO nodes (node, host, boot, pid, started, roles, version, pinned, joined_at)
VALUES (:node, :host, :boot, :pid, :started, :roles, :version, :pinned,
        coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
ON CONFLICT (node) DO NOTHING
