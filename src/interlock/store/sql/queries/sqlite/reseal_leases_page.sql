-- Primary key.
SELECT kind, name, detail FROM leases
WHERE (kind, name) > (:kind, :name) ORDER BY kind, name LIMIT :limit
