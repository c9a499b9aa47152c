-- Primary key. Locks the row, so that two transactions of one writer are made one after the other.
INSERT INTO log_writers (run, writer, last) VALUES (:run, :writer, 0)
ON CONFLICT (run, writer) DO UPDATE SET last = log_writers.last
RETURNING last
