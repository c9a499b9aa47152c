-- Primary key: one that an earlier load left unfinished.
DELETE FROM tasks WHERE task = :task AND state = 'blocked'
