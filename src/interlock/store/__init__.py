"""The store: where a fact has its one row.

`ports` holds the protocols, split by guarantee; `open` gives a store for a URL; `sql` implements them for SQLite (and,
with files of its own dialect, PostgreSQL). Nothing above this package knows a table.
"""
