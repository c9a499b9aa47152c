CREATE INDEX leases_placed ON leases (kind, place);
DROP TABLE cached;
DROP TABLE tokens;
DROP TABLE attributes;
ALTER TABLE runs DROP COLUMN shown;
DROP TABLE memos;
