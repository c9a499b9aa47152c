-- Primary key: another attempt of the same visit, or a run that is tried again by hand.
UPDATE waits SET token = :token, is_loaded = 0, ended_at = NULL WHERE graph = :graph AND visit = :visit
