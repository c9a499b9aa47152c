INSERT INTO delivery_attempts (delivery, number, run, node, at) VALUES (:delivery, :number, :run, :node, :at)
