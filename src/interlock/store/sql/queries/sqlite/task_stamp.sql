-- Primary key. No row: somebody gave it another place meanwhile.
UPDATE tasks SET priority = :priority, rank = :rank
WHERE task = :task AND priority = :before_priority AND rank = :before_rank
