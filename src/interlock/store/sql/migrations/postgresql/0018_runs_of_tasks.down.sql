DROP INDEX runs_of_tasks;
