-- Primary key. What was seen is written down also by a node that had lost the delivery by then.
UPDATE delivery_attempts SET seconds = :seconds, status = :status, detail = :detail
WHERE delivery = :delivery AND number = :number AND status IS NULL
