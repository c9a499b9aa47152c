-- Primary key.
SELECT value FROM meta WHERE name = 'identity'
