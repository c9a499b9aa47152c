-- At most this many at once: each is moved within the file.
PRAGMA incremental_vacuum(500)
