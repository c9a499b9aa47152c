-- Primary key. No rows: somebody wrote meanwhile.
UPDATE runs SET input = :input::bytea, head = :head::bytea, output = :output::bytea, fault = :fault::bytea,
    shown = :shown::bytea
WHERE run = :run::text AND input IS NOT DISTINCT FROM :was_input::bytea AND head IS NOT DISTINCT FROM :was_head::bytea AND
    output IS NOT DISTINCT FROM :was_output::bytea AND fault IS NOT DISTINCT FROM :was_fault::bytea AND
    shown IS NOT DISTINCT FROM :was_shown::bytea
