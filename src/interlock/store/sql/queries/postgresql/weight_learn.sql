-- Primary key. What several processes learn at once adds up.
INSERT INTO weights (name, weight) VALUES (:strategy::text, least(:high::float8, greatest(:low::float8, :prior::float8 * :factor::float8)))
ON CONFLICT (name) DO UPDATE SET weight = least(:high::float8, greatest(:low::float8, weights.weight * :factor::float8))
