DELETE FROM scopes WHERE run = :run AND scope = :scope
