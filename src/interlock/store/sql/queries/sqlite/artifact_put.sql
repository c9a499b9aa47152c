-- Primary key. A name of an attempt is for its newest file.
INSERT INTO artifacts (run, task, attempt, name, path, media_type, size, digest, place, created_at)
VALUES (:run, :task, :attempt, :name, :path, :media_type, :size, :digest, :place, :created_at)
ON CONFLICT (run, task, attempt, name) DO UPDATE
SET media_type = excluded.media_type, size = excluded.size, digest = excluded.digest, place = excluded.place,
    created_at = excluded.created_at
