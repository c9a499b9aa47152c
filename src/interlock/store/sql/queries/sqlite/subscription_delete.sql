-- Primary key, prefix.
DELETE FROM subscriptions WHERE run = :run AND listener = :listener
