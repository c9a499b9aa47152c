-- Primary key. No row: somebody declared another bound meanwhile.
UPDATE pools SET capacity = :capacity::bigint WHERE pool = :pool AND capacity IS NOT DISTINCT FROM :before::bigint
