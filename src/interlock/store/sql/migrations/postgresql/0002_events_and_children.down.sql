DROP TABLE subscriptions;
DROP TABLE events;
DROP SEQUENCE event_numbers;
DROP INDEX runs_children;
ALTER TABLE runs DROP COLUMN parent_effect, DROP COLUMN parent;
