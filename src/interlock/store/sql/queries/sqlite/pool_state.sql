-- Primary key.
UPDATE pools SET state = :state WHERE pool = :pool AND state <> :state
