-- Index cells_deleted. Only those whose versions cannot come again.
DELETE FROM cells WHERE (namespace, space, key) IN (
  SELECT namespace, space, key FROM cells
  WHERE deleted = 1 AND changed_at <= :before AND version <= (SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes') LIMIT :limit)
