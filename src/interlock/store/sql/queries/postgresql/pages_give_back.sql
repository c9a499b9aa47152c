-- Never asked for, since no page is ever found free.
SELECT 0
