CREATE INDEX leases_placed ON leases (kind, place);
ALTER TABLE logs ADD COLUMN writer xid8 NOT NULL DEFAULT pg_current_xact_id();
DROP TABLE cached;
DROP TABLE tokens;
DROP TABLE attributes;
ALTER TABLE runs DROP COLUMN shown;
DROP TABLE memos;
