-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tokens SET outcome = :outcome, terms = :terms, detail = :detail, progress = :progress, reason = :reason
WHERE token = :token AND outcome IS :was_outcome AND terms IS :was_terms AND detail IS :was_detail AND
    progress IS :was_progress AND reason IS :was_reason
