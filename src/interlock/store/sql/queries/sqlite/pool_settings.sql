-- Primary key. Its row is held since it was read.
UPDATE pools SET settings = :settings WHERE pool = :pool
