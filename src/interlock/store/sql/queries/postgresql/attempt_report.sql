-- Primary key. Zero rows: the attempt has ended, or was given up.
UPDATE leases SET detail = :report WHERE kind = 'attempt' AND name = :task AND fence = :fence
