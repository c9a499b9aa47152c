"""The cases for Interlock, by its public names only, as a user would write them."""
