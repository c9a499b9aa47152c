DROP TRIGGER run_told;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
ALTER TABLE runs DROP COLUMN called_back;
