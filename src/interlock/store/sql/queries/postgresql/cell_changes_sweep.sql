-- Index cell_changes_at. Some old changes, of those that are said to be gone.
DELETE FROM cell_changes AS c USING (
  SELECT number FROM cell_changes
  WHERE at <= :before::float8 AND (writing, number) <= (SELECT split_part(value, '.', 1)::xid8, split_part(value, '.', 2)::bigint FROM meta WHERE name = 'cells_floor')
  ORDER BY at LIMIT :limit) AS d
WHERE c.number = d.number
