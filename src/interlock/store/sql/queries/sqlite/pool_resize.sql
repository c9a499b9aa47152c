-- Primary key. No row: somebody declared another bound meanwhile.
UPDATE pools SET capacity = :capacity WHERE pool = :pool AND capacity IS :before
