-- Index cell_changes_at. Some old changes, of those that are said to be gone.
DELETE FROM cell_changes WHERE number IN (
  SELECT number FROM cell_changes
  WHERE at <= :before AND number <= (SELECT CAST(substr(value, 3) AS INTEGER) FROM meta WHERE name = 'cells_floor') ORDER BY at LIMIT :limit)
