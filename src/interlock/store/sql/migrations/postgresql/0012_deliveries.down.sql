DROP TRIGGER run_told ON runs;
DROP FUNCTION run_told;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
DROP FUNCTION delivery_added;
ALTER TABLE runs DROP COLUMN called_back;
