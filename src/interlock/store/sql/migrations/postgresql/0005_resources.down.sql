ALTER TABLE definitions DROP COLUMN resources;
