DROP TABLE subscriptions;
DROP TABLE events;
DROP INDEX runs_children;
ALTER TABLE runs DROP COLUMN parent_effect;
ALTER TABLE runs DROP COLUMN parent;
