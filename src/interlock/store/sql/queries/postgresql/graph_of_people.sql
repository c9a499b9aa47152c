-- Primary keys: a graph that nobody waits for, or waited for, was loaded by hand.
SELECT 1 FROM graphs AS g WHERE g.graph = :graph AND NOT EXISTS (SELECT 1 FROM waits AS w WHERE w.graph = g.graph)
