INSERT INTO logs (run, path, attempt, at, stream, text) VALUES (:run, :path, :attempt, :at, :stream, :text)
