-- Pages of the file that nothing uses.
PRAGMA freelist_count
