-- Primary key. What was reported before the run fell, and never reached it.
INSERT INTO inbox (run, cause_id, cause, posted_at)
SELECT run, 'effect:' || :effect,
  CAST('{"kind":"settled","effect":' || :effect || ',"outcome":' || CAST(outcome AS TEXT) || '}' AS BLOB),
  (julianday('now') - 2440587.5) * 86400.0
FROM tokens WHERE token = :token AND run = :run AND state = 'completed'
ON CONFLICT (run, cause_id) DO NOTHING
