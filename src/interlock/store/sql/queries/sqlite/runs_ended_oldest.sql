-- Index runs_ended, whole: for `doctor` only.
SELECT namespace, workflow, min(ended_at) FROM runs WHERE ended_at IS NOT NULL GROUP BY namespace, workflow
