DROP INDEX tokens_pending;
ALTER TABLE tokens DROP COLUMN superseded;
ALTER TABLE tokens DROP COLUMN reason;
ALTER TABLE tokens DROP COLUMN progress;
ALTER TABLE tokens DROP COLUMN detail;
ALTER TABLE tokens DROP COLUMN heartbeat_at;
ALTER TABLE tokens DROP COLUMN heartbeat_seconds;
ALTER TABLE tokens DROP COLUMN terms;
ALTER TABLE tokens DROP COLUMN step;
