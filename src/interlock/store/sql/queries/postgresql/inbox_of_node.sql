-- The inbox holds only what was not applied yet, so it is read whole.
SELECT inbox.number, inbox.run, inbox.cause FROM inbox JOIN runs ON runs.run = inbox.run
WHERE runs.owner = :node AND runs.ended_at IS NULL ORDER BY inbox.number
