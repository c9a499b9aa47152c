-- Primary key. Until the end of the transaction nobody else registers a worker or forgets one: what is counted stays true.
INSERT INTO leases (kind, name, holder, fence, place, expires_at) VALUES ('guard', 'workers', '', 0, '', 0)
ON CONFLICT (kind, name) DO UPDATE SET fence = leases.fence
RETURNING fence
