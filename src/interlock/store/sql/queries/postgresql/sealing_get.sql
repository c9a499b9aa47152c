-- Primary key: the proof of the key under which payloads are sealed; no row where they are not.
SELECT value FROM meta WHERE name = 'sealed'
