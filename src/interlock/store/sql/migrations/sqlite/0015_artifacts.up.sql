-- Files that attempts kept: what they are, and where the file is (`place`, in the folder of artifacts). A file is there before its
-- row, and goes after it.
CREATE TABLE artifacts (
  run TEXT NOT NULL,
  task TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest TEXT NOT NULL,
  place TEXT NOT NULL,
  created_at REAL NOT NULL,
  PRIMARY KEY (run, task, attempt, name)
) WITHOUT ROWID;
