-- Primary key. Until the end of the transaction nobody else gives tasks to this worker: what is counted stays true.
SELECT session, state, capacity, assigned, silent_seconds, ended_at FROM workers WHERE worker = :worker
