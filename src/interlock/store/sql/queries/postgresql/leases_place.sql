-- A row for each place of the arrays, none of which names a lease twice.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, cpu, memory, devices)
SELECT 'attempt', g.name, :holder::text, g.fence, g.place,
       coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, g.cpu, g.memory, g.devices
FROM unnest(:name::text[], :fence::bigint[], :place::text[], :cpu::float8[], :memory::float8[], :devices::text[])
  AS g (name, fence, place, cpu, memory, devices)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at,
    cpu = excluded.cpu, memory = excluded.memory, devices = excluded.devices
