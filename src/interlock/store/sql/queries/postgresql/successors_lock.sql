-- Primary key, prefix. Without this lock, of two predecessors that end at once each would see the edge of the other, and
-- the task would wait for ever. Rows are locked in the order of their ids.
SELECT t.task FROM tasks AS t
WHERE t.task IN (SELECT e.task FROM task_edges AS e WHERE e.predecessor = :predecessor) ORDER BY t.task FOR UPDATE OF t
