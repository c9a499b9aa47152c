ALTER TABLE logs DROP COLUMN characters;
