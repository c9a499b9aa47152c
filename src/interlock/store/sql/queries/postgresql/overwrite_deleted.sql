-- Rows of before stay in the files of the server until it vacuums them.
SELECT 1
