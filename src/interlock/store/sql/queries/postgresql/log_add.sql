INSERT INTO logs (run, path, attempt, at, stream, text, characters) VALUES (:run, :path, :attempt, :at, :stream, :text, :characters)
