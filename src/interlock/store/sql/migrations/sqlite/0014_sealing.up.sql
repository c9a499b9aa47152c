-- How many characters a piece of output has, which the text does not tell once it is encrypted; NULL: as many as the text.
ALTER TABLE logs ADD COLUMN characters INTEGER;
