-- Heads stay as they are: before an older build is used again, runs that are open have to end, or to be cancelled.
SELECT 1;
