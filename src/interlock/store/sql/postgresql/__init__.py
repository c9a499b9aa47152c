"""The PostgreSQL driver: connections, the group commit in one statement, the bell, renewals, partitions.

What the statements do is in `queries/postgresql`, what the tables are in `migrations/postgresql`, and what the ports mean in
the shared Python beside this package. To add a statement, add its file; to add something to a commit, add rows in `commits`
and a part in `queries/postgresql/commit.sql`; to add a migration, add its two files and repeat it in `schema.sql`.

Isolation is READ COMMITTED: a statement sees what was committed before it began, and an UPDATE that waited for a row looks
at its condition again. Locks are taken in one order: a node's lease, runs, a pool's limit, leases of attempts, tasks, inbox.
"""
