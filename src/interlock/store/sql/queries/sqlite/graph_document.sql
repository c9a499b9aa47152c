-- Unique (namespace, name).
SELECT digest, document FROM graphs WHERE namespace = :namespace AND name = :name
