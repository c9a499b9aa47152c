-- Primary key: a write that was sent before, among the changes after the version that it was based on. A change's number is not below
-- the version that it made.
SELECT value, version, stamp, writer, NULL, at, at FROM cell_changes
WHERE number > coalesce(:base, 0) AND namespace = :namespace AND space = :space AND key = :key AND nonce = :nonce
