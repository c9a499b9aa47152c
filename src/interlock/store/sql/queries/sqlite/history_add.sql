INSERT INTO history (run, seq, at, epoch, events) VALUES (:run, :seq, :at, :epoch, :events)
