-- The numbers of inbox, logs and events: cursors that were handed out since the backup stay behind new rows.
SELECT setval('inbox_numbers', nextval('inbox_numbers') + :step::bigint),
       setval('log_numbers', nextval('log_numbers') + :step::bigint),
       setval('event_numbers', nextval('event_numbers') + :step::bigint),
       setval('cell_change_numbers', nextval('cell_change_numbers') + :step::bigint)
