ALTER TABLE inbox DROP COLUMN posted_at;
DROP TABLE removals;
ALTER TABLE definitions DROP COLUMN used_at;
DROP INDEX runs_ended;
DROP INDEX nodes_left;
ALTER TABLE nodes DROP COLUMN unready;
ALTER TABLE nodes DROP COLUMN refusals;
ALTER TABLE nodes DROP COLUMN drain_at;
ALTER TABLE runs DROP COLUMN freed_at;
