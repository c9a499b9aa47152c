-- The inbox holds only what was not applied yet.
SELECT min(posted_at) FROM inbox
