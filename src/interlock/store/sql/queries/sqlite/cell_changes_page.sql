-- Index cell_changes_of_namespace. Changes after a number, each beside the number of the last change of all, and the number up to which
-- some were removed; one row without a change where there is none.
SELECT 0, e.number, e.floor, 0, 0, p.number, p.space, p.key, p.value, p.version, p.stamp, p.writer, p.at
FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes'), 0) AS number, (SELECT value FROM meta WHERE name = 'cells_floor') AS floor) AS e
LEFT JOIN (SELECT number, space, key, value, version, stamp, writer, at FROM cell_changes
           WHERE namespace = :namespace AND number > :number AND (:space IS NULL OR space = :space)
           ORDER BY number LIMIT :limit) AS p ON 1
ORDER BY p.number
