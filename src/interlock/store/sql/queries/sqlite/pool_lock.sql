-- Nothing to do: the writer has the whole file. Elsewhere this makes the count of occupied slots a guard.
SELECT :pool, :node
