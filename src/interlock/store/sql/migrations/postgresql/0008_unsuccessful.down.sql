DROP INDEX runs_unsuccessful;
