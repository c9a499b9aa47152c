INSERT INTO leases (kind, name, holder, fence, place, expires_at, cpu, memory, devices)
VALUES ('attempt', :name, :holder, :fence, :place, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, :cpu, :memory, :devices)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at,
    cpu = excluded.cpu, memory = excluded.memory, devices = excluded.devices
