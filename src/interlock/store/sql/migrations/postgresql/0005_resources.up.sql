-- What a definition refers to elsewhere, as it was when the definition was stored: JSON, URI to text.
ALTER TABLE definitions ADD COLUMN resources bytea;
ALTER TABLE definitions ALTER resources SET STORAGE EXTERNAL;
