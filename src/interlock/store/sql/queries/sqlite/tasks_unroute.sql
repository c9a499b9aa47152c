-- Index tasks_ready: takes back what no worker of a pool has claimed.
UPDATE tasks SET pool = lane WHERE pool = :pool AND state = 'ready' AND lane IS NOT NULL
