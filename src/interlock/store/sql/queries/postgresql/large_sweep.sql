-- Index large_values_unreferred.
DELETE FROM large_values WHERE referred = 0 AND stored_at < :before
