-- Primary key, prefix.
DELETE FROM scopes WHERE run = :run AND scope IN (SELECT scope FROM scopes WHERE run = :run LIMIT :limit)
