INSERT INTO memos (run, number, call, undo, body) VALUES (:run, :number, :call, :undo, :body)
