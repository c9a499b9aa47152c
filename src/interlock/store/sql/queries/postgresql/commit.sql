-- One round trip for a group of batches: $n are arrays, one element per row; see postgresql/commits.py, which fills them.
-- Every statement of it sees the store as it was before, so a part takes the runs that were accepted or advanced from
-- `applied`, never from a table. Rows are in the order of their runs, so that two groups wait for each other in one order.
WITH
-- Gives no row for an id that is taken.
keyed AS (
  INSERT INTO run_keys (id, namespace, run)
  SELECT id, namespace, run
  FROM unnest(:accept_id::text[], :accept_namespace::text[], :accept_run::text[]) AS g (id, namespace, run)
  ORDER BY id, namespace
  ON CONFLICT (id, namespace) DO NOTHING
  RETURNING run),
accepted AS (
  INSERT INTO runs (run, namespace, id, definition, workflow, version, folder, origin, status, epoch, seq, owner, wake_at,
                    parent, parent_effect, partial, created_at, started_at, ended_at, input, head, output, fault, freed_at, shown)
  SELECT g.run, namespace, id, definition, workflow, version, folder, origin, status, 1, seq, owner, wake_at,
         parent, parent_effect, partial, at, started_at, ended_at, input, head, output, fault, CASE WHEN owner IS NULL THEN at END, shown
  FROM unnest(
    :accept_run::text[], :accept_namespace::text[], :accept_id::text[], :accept_definition::text[],
    :accept_workflow::text[], :accept_version::text[], :accept_folder::text[], :accept_origin::text[],
    :accept_status::text[], :accept_seq::bigint[], :accept_owner::text[], :accept_wake_at::float8[],
    :accept_parent::text[], :accept_parent_effect::bigint[],
    :accept_partial::smallint[], :accept_at::float8[], :accept_started_at::float8[], :accept_ended_at::float8[],
    :accept_input::bytea[], :accept_head::bytea[], :accept_output::bytea[], :accept_fault::bytea[], :accept_shown::bytea[])
  AS g (run, namespace, id, definition, workflow, version, folder, origin, status, seq, owner, wake_at, parent,
        parent_effect, partial, at, started_at, ended_at, input, head, output, fault, shown)
  JOIN keyed ON keyed.run = g.run
  RETURNING run, namespace),
-- Primary key; ANY prunes partitions. The owner is compared so that no plan that is made while runs are few reads all of
-- them by the index runs_owned. Zero rows: another node took the run over, the run was freed since its node was
-- given up for dead, or this commit was applied before.
advanced AS (
  UPDATE runs
  SET seq = runs.seq + 1, status = g.status, wake_at = g.wake_at, head = g.head, partial = g.partial,
      output = g.output, fault = g.fault, started_at = coalesce(runs.started_at, g.started_at),
      ended_at = g.ended_at, owner = CASE WHEN g.release = 1 THEN NULL ELSE runs.owner END,
      freed_at = CASE WHEN g.release = 1 THEN g.at END, shown = coalesce(g.shown, runs.shown)
  FROM unnest(
    :advance_run::text[], :advance_epoch::bigint[], :advance_seq::bigint[], :advance_at::float8[], :advance_release::smallint[],
    :advance_status::text[], :advance_wake_at::float8[], :advance_partial::smallint[], :advance_started_at::float8[],
    :advance_ended_at::float8[], :advance_head::bytea[], :advance_output::bytea[], :advance_fault::bytea[],
    :advance_shown::bytea[])
  AS g (run, epoch, seq, at, release, status, wake_at, partial, started_at, ended_at, head, output, fault, shown)
  WHERE runs.run = ANY (:advance_run::text[]) AND runs.run = g.run AND runs.epoch = g.epoch AND runs.seq = g.seq
    AND coalesce(runs.owner, '') <> '' AND runs.ended_at IS NULL
  RETURNING runs.run, runs.namespace),
applied AS MATERIALIZED (
  SELECT run, namespace AS tenant FROM accepted UNION ALL SELECT run, namespace FROM advanced),
history_added AS (
  INSERT INTO history (run, seq, at, epoch, events)
  SELECT g.run, seq, at, epoch, events
  FROM unnest(:history_run::text[], :history_seq::bigint[], :history_at::float8[], :history_epoch::bigint[],
              :history_events::bytea[]) AS g (run, seq, at, epoch, events)
  JOIN applied ON applied.run = g.run),
-- [ memos: left out of a group that has none
memos_added AS (
  INSERT INTO memos (run, number, call, undo, body)
  SELECT g.run, number, call, undo, body
  FROM unnest(:memo_run::text[], :memo_number::bigint[], :memo_call::text[], :memo_undo::smallint[], :memo_body::bytea[])
  AS g (run, number, call, undo, body)
  JOIN applied ON applied.run = g.run),
-- ] memos
scopes_put AS (
  INSERT INTO scopes (run, scope, body)
  SELECT g.run, scope, body
  FROM unnest(:scope_run::text[], :scope_scope::text[], :scope_body::bytea[]) AS g (run, scope, body)
  JOIN applied ON applied.run = g.run
  ON CONFLICT (run, scope) DO UPDATE SET body = excluded.body),
scopes_deleted AS (
  DELETE FROM scopes USING applied,
    unnest(:unscope_run::text[], :unscope_scope::text[]) AS g (run, scope)
  WHERE scopes.run = g.run AND scopes.scope = g.scope AND applied.run = g.run),
-- The texts of a run, and those of the children that it starts.
large_referred AS (
  UPDATE large_values SET referred = 1
  FROM applied, unnest(:large_by::text[], :large_run::text[], :large_digest::text[]) AS g (by, run, digest)
  WHERE large_values.run = ANY (:large_run::text[]) AND large_values.run = g.run AND large_values.digest = g.digest
    AND large_values.referred = 0 AND applied.run = g.by),
tasks_cancelled AS (
  UPDATE tasks
  SET state = CASE tasks.state WHEN 'running' THEN tasks.state ELSE 'cancelled' END,
      ended_at = CASE tasks.state WHEN 'running' THEN tasks.ended_at ELSE g.at END,
      cancel = CASE tasks.state WHEN 'running' THEN 1 ELSE tasks.cancel END, held_by = NULL
  FROM applied, unnest(:cancel_run::text[], :cancel_effect::bigint[], :cancel_at::float8[]) AS g (run, effect, at)
  WHERE tasks.run = g.run AND tasks.effect = g.effect AND tasks.state IN ('ready', 'held', 'delayed', 'running')
    AND applied.run = g.run),
tasks_added AS (
  INSERT INTO tasks (task, run, effect, path, pool, priority, state, attempt, target, folder, idempotency_key,
                     any_exit_code, created_at, linked, needs, rank)
  SELECT task, g.run, effect, path, pool, priority, 'ready', attempt, target, folder, idempotency_key, any_exit_code, at, linked,
         needs, at
  FROM unnest(:task_task::text[], :task_run::text[], :task_effect::bigint[], :task_path::text[], :task_pool::text[],
              :task_priority::bigint[], :task_attempt::bigint[], :task_target::bytea[], :task_folder::text[],
              :task_idempotency_key::text[], :task_any_exit_code::smallint[], :task_at::float8[], :task_linked::smallint[],
              :task_needs::text[])
  AS g (task, run, effect, path, pool, priority, attempt, target, folder, idempotency_key, any_exit_code, at, linked, needs)
  JOIN applied ON applied.run = g.run),
-- [ with others: left out of a group none of whose runs has to do with another one, see commits.alone
-- Index runs_children: a child run that nobody waits for any more is asked to cancel.
children_cancelled AS (
  INSERT INTO inbox (run, cause_id, cause)
  SELECT runs.run, 'cancel:parent', g.cause
  FROM unnest(:cancel_run::text[], :cancel_effect::bigint[], :cancel_cause::bytea[]) AS g (run, effect, cause)
  JOIN applied ON applied.run = g.run
  JOIN runs ON runs.parent = g.run AND runs.parent_effect = g.effect AND runs.ended_at IS NULL
  ON CONFLICT (run, cause_id) DO NOTHING),
children_keyed AS (
  INSERT INTO run_keys (id, namespace, run)
  SELECT id, namespace, g.run
  FROM unnest(:child_id::text[], :child_namespace::text[], :child_run::text[], :child_parent::text[])
  AS g (id, namespace, run, parent)
  JOIN applied ON applied.run = g.parent
  ON CONFLICT (id, namespace) DO NOTHING
  RETURNING run),
children_accepted AS (
  INSERT INTO runs (run, namespace, id, definition, workflow, version, folder, status, epoch, seq, owner, parent,
                    parent_effect, partial, created_at, input, head, freed_at)
  SELECT g.run, namespace, id, definition, workflow, version, folder, 'pending', 1, 1, owner, parent,
         parent_effect, 0, at, input, '', CASE WHEN owner IS NULL THEN at END
  FROM unnest(
    :child_run::text[], :child_namespace::text[], :child_id::text[], :child_definition::text[], :child_workflow::text[],
    :child_version::text[], :child_folder::text[], :child_owner::text[], :child_parent::text[],
    :child_parent_effect::bigint[], :child_at::float8[], :child_input::bytea[])
  AS g (run, namespace, id, definition, workflow, version, folder, owner, parent, parent_effect, at, input)
  JOIN children_keyed ON children_keyed.run = g.run),
-- Primary key of runs; ANY prunes partitions. A run that has ended is not told any more; one that begins with this very
-- commit is not in the table yet.
posted AS (
  INSERT INTO inbox (run, cause_id, cause)
  SELECT g.run, g.cause_id, g.cause
  FROM unnest(:post_by::text[], :post_run::text[], :post_cause_id::text[], :post_cause::bytea[])
  AS g (by, run, cause_id, cause)
  JOIN applied ON applied.run = g.by
  LEFT JOIN runs ON runs.run = g.run AND runs.run = ANY (:post_run::text[]) AND runs.ended_at IS NULL
  LEFT JOIN accepted ON accepted.run = g.run
  WHERE runs.run IS NOT NULL OR accepted.run IS NOT NULL
  ON CONFLICT (run, cause_id) DO NOTHING),
unsubscribed AS (
  DELETE FROM subscriptions USING applied, unnest(:unsubscribe_run::text[], :unsubscribe_listener::bigint[])
  AS g (run, listener)
  WHERE subscriptions.run = g.run AND subscriptions.listener = g.listener AND applied.run = g.run),
subscribed AS (
  INSERT INTO subscriptions (run, listener, namespace, type, source)
  SELECT g.run, listener, namespace, type, source
  FROM unnest(:subscribe_run::text[], :subscribe_listener::bigint[], :subscribe_namespace::text[],
              :subscribe_type::text[], :subscribe_source::text[]) AS g (run, listener, namespace, type, source)
  JOIN applied ON applied.run = g.run
  ON CONFLICT (run, listener, type, source) DO NOTHING
  RETURNING run, namespace, type, source),
-- Of events with one source and id the first one is sent: its type and its text, never those of another or of a refused run.
sent AS MATERIALIZED (
  SELECT DISTINCT ON (namespace, source, id) namespace, source, id, type, at, body, cause, place
  FROM unnest(:event_run::text[], :event_namespace::text[], :event_source::text[], :event_id::text[],
              :event_type::text[], :event_at::float8[], :event_body::bytea[], :event_cause::bytea[])
  WITH ORDINALITY AS g (run, namespace, source, id, type, at, body, cause, place)
  JOIN applied ON applied.run = g.run
  ORDER BY namespace, source, id, place),
events_added AS (
  INSERT INTO events (namespace, source, id, type, at, body)
  SELECT namespace, source, id, type, at, body FROM sent ORDER BY place
  ON CONFLICT (namespace, source, id) DO NOTHING
  RETURNING namespace, source, id),
-- Index subscriptions_matched; also those of this very group, so that a run hears what its other branch sends.
listeners_told AS (
  INSERT INTO inbox (run, cause_id, cause)
  SELECT s.run, 'event:' || g.source || ':' || g.id, g.cause
  FROM sent AS g
  JOIN events_added AS e ON e.namespace = g.namespace AND e.source = g.source AND e.id = g.id
  JOIN LATERAL (
    SELECT run FROM subscriptions
    WHERE namespace = g.namespace AND type IN (g.type, '') AND source IN (g.source, '')
    UNION
    SELECT run FROM subscribed
    WHERE namespace = g.namespace AND type IN (g.type, '') AND source IN (g.source, '')) AS s ON true
  ORDER BY g.place, s.run
  ON CONFLICT (run, cause_id) DO NOTHING),
-- Primary key, prefix; ANY prunes partitions.
memos_forgotten AS (
  DELETE FROM memos USING applied, unnest(:forget_run::text[]) AS g (run)
  WHERE memos.run = ANY (:forget_run::text[]) AND memos.run = g.run AND applied.run = g.run
  RETURNING 1),
-- Those of runs that forgot the ones before, whose numbers may be used again: they are counted, so that they are gone first.
memos_renewed AS (
  INSERT INTO memos (run, number, call, undo, body)
  SELECT g.run, number, call, undo, body
  FROM unnest(:renew_run::text[], :renew_number::bigint[], :renew_call::text[], :renew_undo::smallint[],
              :renew_body::bytea[]) AS g (run, number, call, undo, body)
  JOIN applied ON applied.run = g.run
  WHERE (SELECT count(*) FROM memos_forgotten) >= 0),
attributes_put AS (
  INSERT INTO attributes (run, name, namespace, value, number)
  SELECT g.run, name, applied.tenant, value, number
  FROM unnest(:attribute_run::text[], :attribute_name::text[], :attribute_value::text[], :attribute_number::float8[])
  AS g (run, name, value, number)
  JOIN applied ON applied.run = g.run
  ON CONFLICT (run, name) DO UPDATE SET value = excluded.value, number = excluded.number),
attributes_deleted AS (
  DELETE FROM attributes USING applied, unnest(:unattribute_run::text[], :unattribute_name::text[]) AS g (run, name)
  WHERE attributes.run = g.run AND attributes.name = g.name AND applied.run = g.run),
-- Primary key. A run that is retried asks again for what it asked for before: that is opened again, or its outcome is told again.
tokens_wanted AS (
  SELECT g.run, token, effect, name, state, expires_at, at, step, terms, heartbeat_seconds
  FROM unnest(:token_run::text[], :token_token::text[], :token_effect::bigint[], :token_name::text[], :token_state::text[],
              :token_expires_at::float8[], :token_at::float8[], :token_step::text[], :token_terms::bytea[],
              :token_heartbeat_seconds::float8[])
  AS g (run, token, effect, name, state, expires_at, at, step, terms, heartbeat_seconds)
  JOIN applied ON applied.run = g.run),
tokens_reopened AS (
  UPDATE tokens SET state = g.state, effect = g.effect, expires_at = g.expires_at, created_at = g.at, terms = g.terms,
    heartbeat_seconds = g.heartbeat_seconds, outcome = NULL, digest = NULL, completed_at = NULL, completed_by = NULL,
    heartbeat_at = NULL, detail = NULL, progress = NULL, reason = NULL, superseded = 0
  FROM tokens_wanted AS g
  WHERE tokens.token = g.token AND tokens.run = g.run AND tokens.state IN ('failed', 'expired', 'revoked')),
tokens_told AS (
  INSERT INTO inbox (run, cause_id, cause)
  SELECT t.run, 'effect:' || g.effect,
    convert_to('{"kind":"settled","effect":' || g.effect || ',"outcome":', 'UTF8') || t.outcome || convert_to('}', 'UTF8')
  FROM tokens_wanted AS g JOIN tokens AS t ON t.token = g.token AND t.run = g.run AND t.state = 'completed'
  ON CONFLICT (run, cause_id) DO NOTHING),
tokens_added AS (
  INSERT INTO tokens (token, run, effect, name, state, expires_at, created_at, step, terms, heartbeat_seconds)
  SELECT token, run, effect, name, state, expires_at, at, step, terms, heartbeat_seconds FROM tokens_wanted AS g
  WHERE NOT EXISTS (SELECT 1 FROM tokens AS t WHERE t.token = g.token AND t.run = g.run)),
-- One whose time is over has expired, whoever notices it.
tokens_revoked AS (
  UPDATE tokens SET state = CASE WHEN tokens.expires_at <= g.at THEN 'expired' ELSE 'revoked' END, reason = g.reason,
    superseded = g.superseded
  FROM applied, unnest(:revoke_run::text[], :revoke_token::text[], :revoke_at::float8[], :revoke_reason::text[],
                       :revoke_superseded::smallint[]) AS g (run, token, at, reason, superseded)
  WHERE tokens.token = g.token AND tokens.run = g.run AND tokens.state = 'open' AND applied.run = g.run),
-- The trigger of the table marks the run when all of this is in it.
deliveries_added AS (
  INSERT INTO deliveries (delivery, run, namespace, kind, target, receiver, identity, sealed, state, waiting, due_at,
                          deadline, beat_seconds, created_at)
  SELECT delivery, g.run, namespace, kind, target, receiver, identity, sealed, 'pending', waiting, due_at, deadline,
         beat_seconds, at
  FROM unnest(:delivery_run::text[], :delivery_delivery::text[], :delivery_namespace::text[], :delivery_kind::text[],
              :delivery_target::text[], :delivery_receiver::text[], :delivery_identity::text[], :delivery_sealed::bytea[],
              :delivery_waiting::smallint[], :delivery_due_at::float8[], :delivery_deadline::float8[],
              :delivery_beat_seconds::float8[], :delivery_at::float8[])
  AS g (run, delivery, namespace, kind, target, receiver, identity, sealed, waiting, due_at, deadline, beat_seconds, at)
  JOIN applied ON applied.run = g.run),
tokens_asked AS (
  UPDATE tokens SET reason = g.reason
  FROM applied, unnest(:ask_run::text[], :ask_token::text[], :ask_reason::text[]) AS g (run, token, reason)
  WHERE tokens.token = g.token AND tokens.run = g.run AND tokens.state = 'open' AND applied.run = g.run),
-- Of results with one key the last one is kept, in the order of their keys, so that two groups wait for each other in one order.
cached_put AS (
  INSERT INTO cached (namespace, name, key, body, expires_at)
  SELECT DISTINCT ON (namespace, name, key) namespace, name, key, body, expires_at
  FROM unnest(:cached_run::text[], :cached_namespace::text[], :cached_name::text[], :cached_key::text[],
              :cached_body::bytea[], :cached_expires_at::float8[])
  WITH ORDINALITY AS g (run, namespace, name, key, body, expires_at, place)
  JOIN applied ON applied.run = g.run
  ORDER BY namespace, name, key, place DESC
  ON CONFLICT (namespace, name, key) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at),
-- Of settings of one limit the last one counts. One that is as it was is not locked: claims wait for its row.
limits_wanted AS (
  SELECT DISTINCT ON (name) name, capacity, interval_seconds, burst
  FROM unnest(:limit_run::text[], :limit_name::text[], :limit_capacity::bigint[], :limit_interval_seconds::float8[],
              :limit_burst::bigint[]) WITH ORDINALITY AS g (run, name, capacity, interval_seconds, burst, place)
  JOIN applied ON applied.run = g.run
  ORDER BY name, place DESC),
limits_set AS (
  INSERT INTO limits (name, capacity, interval_seconds, burst)
  SELECT name, capacity, interval_seconds, burst FROM limits_wanted AS g
  WHERE NOT EXISTS (
    SELECT 1 FROM limits AS l
    WHERE l.name = g.name AND l.capacity IS NOT DISTINCT FROM g.capacity
      AND l.interval_seconds IS NOT DISTINCT FROM g.interval_seconds AND l.burst = g.burst)
  ORDER BY name
  ON CONFLICT (name) DO UPDATE
  SET capacity = excluded.capacity, interval_seconds = excluded.interval_seconds, burst = excluded.burst),
task_limits_added AS (
  INSERT INTO task_limits (task, name)
  SELECT task, name FROM unnest(:named_run::text[], :named_task::text[], :named_name::text[]) AS g (run, task, name)
  JOIN applied ON applied.run = g.run),
-- ] with others
subscriptions_cleared AS (
  DELETE FROM subscriptions USING applied, unnest(:end_run::text[]) AS g (run)
  WHERE subscriptions.run = g.run AND applied.run = g.run),
-- Index tokens_of_run.
tokens_closed AS (
  UPDATE tokens SET state = CASE WHEN tokens.expires_at <= g.at THEN 'expired' ELSE 'revoked' END, reason = g.reason
  FROM applied, unnest(:end_run::text[], :end_at::float8[], :end_reason::text[]) AS g (run, at, reason)
  WHERE tokens.run = g.run AND tokens.state = 'open' AND applied.run = g.run),
inbox_consumed AS (
  DELETE FROM inbox USING applied, unnest(:consume_run::text[], :consume_number::bigint[]) AS g (run, number)
  WHERE inbox.number = g.number AND inbox.run = g.run AND applied.run = g.run),
inbox_cleared AS (
  DELETE FROM inbox USING applied, unnest(:end_run::text[]) AS g (run)
  WHERE inbox.run = g.run AND applied.run = g.run)
SELECT run FROM applied
