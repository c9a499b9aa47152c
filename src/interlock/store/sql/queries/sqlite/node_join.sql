INSERT INTO nodes (node, host, boot, pid, started, roles, version, pinned, joined_at)
VALUES (:node, :host, :boot, :pid, :started, :roles, :version, :pinned, :at)
