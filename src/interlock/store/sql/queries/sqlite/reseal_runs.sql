-- Primary key. No rows: somebody wrote meanwhile.
UPDATE runs SET input = :input, head = :head, output = :output, fault = :fault, shown = :shown
WHERE run = :run AND input IS :was_input AND head IS :was_head AND output IS :was_output AND fault IS :was_fault AND
    shown IS :was_shown
