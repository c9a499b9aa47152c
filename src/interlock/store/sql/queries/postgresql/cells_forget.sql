-- Index cells_deleted. Only those whose versions cannot come again.
DELETE FROM cells AS c USING (
  SELECT namespace, space, key FROM cells
  WHERE deleted = 1 AND changed_at <= :before::float8 AND version <= (SELECT last_value FROM cell_change_numbers) LIMIT :limit FOR UPDATE SKIP LOCKED) AS f
WHERE c.namespace = f.namespace AND c.space = f.space AND c.key = f.key
