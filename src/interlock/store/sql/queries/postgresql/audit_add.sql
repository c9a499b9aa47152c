INSERT INTO audit (at, actor, action, target, detail) VALUES (:at, :actor, :action, :target, :detail)
