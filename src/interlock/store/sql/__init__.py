"""The SQL stores: shared Python, statements and migrations per dialect, one driver module per dialect.

Port methods are coroutines over a `Transaction`; the SQLite driver runs them to their end inside its writer thread, where
they never suspend. A statement is one file, `queries/<dialect>/<name>.sql`; the file's name is the only way to run it.
"""
