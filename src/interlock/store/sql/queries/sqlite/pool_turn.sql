-- Primary key: how many were placed, for who takes turns.
UPDATE pools SET turn = turn + :count WHERE pool = :pool
