INSERT INTO leases (kind, name, holder, fence, place, expires_at)
VALUES (:kind, :name, :holder, :fence, :place,
        coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at
