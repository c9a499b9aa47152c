-- Primary key.
SELECT delivery, number, detail FROM delivery_attempts
WHERE (delivery, number) > (:delivery, :number) ORDER BY delivery, number LIMIT :limit
