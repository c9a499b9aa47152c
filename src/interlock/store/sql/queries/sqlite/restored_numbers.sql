-- The numbers of inbox, logs and audit: cursors that were handed out since the backup stay behind new rows.
UPDATE sqlite_sequence SET seq = seq + :step
