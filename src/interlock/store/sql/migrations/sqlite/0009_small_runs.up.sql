-- incompatible
-- The scopes of a small run stand in its head, where builds before this one do not look: they would take them for closed.
SELECT 1;
