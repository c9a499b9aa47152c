-- Index cell_changes_of_namespace. Changes after a place, below the oldest transaction that is at work: none of those is missing. Each
-- beside that transaction, the place up to which some were removed, and whether changes wait for that transaction; one row without
-- a change where there is none.
SELECT e.writing::text, 0, e.floor, e.held, p.writing::text, p.number, p.space, p.key, p.value, p.version, p.stamp, p.writer, p.at
FROM (SELECT s.writing, (SELECT value FROM meta WHERE name = 'cells_floor') AS floor,
        EXISTS (SELECT 1 FROM cell_changes AS h WHERE h.namespace = :namespace::text AND h.writing >= s.writing)::int AS held
      FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS writing) AS s) AS e
LEFT JOIN LATERAL (
  SELECT c.writing, c.number, c.space, c.key, c.value, c.version, c.stamp, c.writer, c.at FROM cell_changes AS c
  WHERE c.namespace = :namespace::text AND (c.writing, c.number) > (:writing::text::xid8, :number::bigint) AND c.writing < e.writing
    AND (:space::text IS NULL OR c.space = :space::text)
  ORDER BY c.writing, c.number LIMIT :limit) AS p ON true
ORDER BY p.writing, p.number
