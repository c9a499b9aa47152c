INSERT INTO shares (name, reached) VALUES (:name, :reached)
ON CONFLICT (name) DO UPDATE SET reached = CASE WHEN excluded.reached > shares.reached THEN excluded.reached ELSE shares.reached END
