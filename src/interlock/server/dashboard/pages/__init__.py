"""View models: one module for each page, from what a session gives to values that a template only has to write."""
