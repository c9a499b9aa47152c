-- Whole table, once: who watched does not know what was undone, and has to read anew.
DELETE FROM cell_changes
