"""The same cases for other products, one module each, written the way their own documentation does it."""
