-- What people look for among millions that went well. A run that completes is never in it, so the usual one pays nothing.
CREATE INDEX runs_unsuccessful ON runs (run) WHERE status IN ('faulted', 'cancelled');
