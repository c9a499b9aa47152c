-- What is the present to leases: the store's clock, unless a test says otherwise.
SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
