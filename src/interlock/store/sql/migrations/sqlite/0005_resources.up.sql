-- What a definition needs from elsewhere, fetched when it was published or first started: a JSON map of URI to text.
ALTER TABLE definitions ADD COLUMN resources BLOB;
