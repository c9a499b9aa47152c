-- Primary key. No rows: somebody wrote meanwhile.
UPDATE tokens SET outcome = :outcome::bytea, terms = :terms::bytea, detail = :detail::bytea,
    progress = :progress::bytea, reason = :reason::text
WHERE token = :token::text AND outcome IS NOT DISTINCT FROM :was_outcome::bytea AND
    terms IS NOT DISTINCT FROM :was_terms::bytea AND detail IS NOT DISTINCT FROM :was_detail::bytea AND
    progress IS NOT DISTINCT FROM :was_progress::bytea AND reason IS NOT DISTINCT FROM :was_reason::text
