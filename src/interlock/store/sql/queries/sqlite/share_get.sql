-- Primary key, one probe per name of a JSON list.
SELECT s.name, s.reached FROM json_each(:names) AS n JOIN shares AS s ON s.name = n.value
