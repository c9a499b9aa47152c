-- Primary key.
SELECT kind, name, detail FROM leases
WHERE (kind, name) > (:kind::text, :name::text) ORDER BY kind, name LIMIT :limit
