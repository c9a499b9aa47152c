-- Primary key. What several processes learn at once adds up.
INSERT INTO weights (name, weight) VALUES (:strategy, min(:high, max(:low, :prior * :factor)))
ON CONFLICT (name) DO UPDATE SET weight = min(:high, max(:low, weights.weight * :factor))
