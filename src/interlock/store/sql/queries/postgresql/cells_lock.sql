-- Primary key. Locks cells that are to be written together, in the order of their keys. `keys`: a JSON list of [space, key].
SELECT 1 FROM cells AS c
JOIN (SELECT value ->> 0 AS space, value ->> 1 AS key FROM jsonb_array_elements(:keys::text::jsonb) AS e (value)) AS k
  ON c.space = k.space AND c.key = k.key
WHERE c.namespace = :namespace::text ORDER BY c.space, c.key FOR UPDATE OF c
