-- Index attributes_found, backwards: pages by key. The first attribute finds the runs, the others are looked up by key.
SELECT r.run, r.namespace, r.id, r.workflow, r.version, r.definition, r.status, r.partial, r.epoch, r.seq, r.owner, r.folder,
       r.created_at, r.started_at, r.ended_at, r.wake_at, NULL::bytea, r.fault, NULL::bytea, r.origin, r.shown
FROM attributes AS a JOIN runs AS r ON r.run = a.run
WHERE a.name = :name AND a.value = :value AND a.namespace = :namespace AND a.run < coalesce(:before::text, '~')
  AND (:status::text = '' OR strpos(:status, ',' || r.status || ',') > 0) AND (:workflow::text IS NULL OR r.workflow = :workflow)
  AND NOT EXISTS (
    SELECT 1 FROM json_each_text(:others::text::json) AS w (name, value)
    WHERE NOT EXISTS (SELECT 1 FROM attributes AS o WHERE o.run = a.run AND o.name = w.name AND o.value = w.value))
ORDER BY a.run DESC LIMIT :limit
