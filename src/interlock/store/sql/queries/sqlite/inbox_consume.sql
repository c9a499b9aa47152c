DELETE FROM inbox WHERE number = :number AND run = :run
