-- Holds the output of a run until the transaction ends: who follows it by number finds numbers in the order of their commits.
SELECT pg_advisory_xact_lock(hashtextextended(:run::text, 0))
