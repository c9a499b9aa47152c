-- Files that attempts kept: what they are, and where the file is (`place`, in the folder of artifacts). A file is there before its
-- row, and goes after it.
CREATE TABLE artifacts (
  run text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  attempt integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  media_type text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  digest text COLLATE "C" NOT NULL,
  place text COLLATE "C" NOT NULL,
  created_at double precision NOT NULL,
  PRIMARY KEY (run, task, attempt, name)
);
