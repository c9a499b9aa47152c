DROP TABLE log_writers;
