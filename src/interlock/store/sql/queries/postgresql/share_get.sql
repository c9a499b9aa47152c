-- Primary key, one probe per name of a JSON list.
SELECT s.name, s.reached FROM json_array_elements_text(:names::text::json) AS n (value) JOIN shares AS s ON s.name = n.value
