SELECT run FROM removals LIMIT :limit
