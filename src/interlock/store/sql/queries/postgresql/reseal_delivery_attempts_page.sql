-- Primary key.
SELECT delivery, number, detail FROM delivery_attempts
WHERE (delivery, number) > (:delivery::text, :number::bigint) ORDER BY delivery, number LIMIT :limit
