-- One page: Python's sqlite3 takes a single step of this statement, whatever number stands here.
PRAGMA incremental_vacuum(1)
