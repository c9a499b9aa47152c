INSERT INTO leases (kind, name, holder, fence, place, expires_at, cpu, memory, devices)
VALUES ('attempt', :name, :holder, :fence, :place, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl, :cpu, :memory, :devices)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at,
    cpu = excluded.cpu, memory = excluded.memory, devices = excluded.devices
