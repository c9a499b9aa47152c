-- A handful of rows: one per strategy.
SELECT name, weight FROM weights
